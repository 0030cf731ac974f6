// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/tenant_table.h"

#include <string>

namespace shoji::accelerator {

absl::StatusOr<std::shared_ptr<Tenant>> TenantTable::Admit(AnswerSink& sink) {
  const absl::MutexLock lock(&mu_);
  if (draining_) {
    return absl::UnavailableError("the accelerator is shutting down");
  }
  if (tenants_.size() >= options_.max_tenants) {
    return absl::ResourceExhaustedError("the accelerator already serves " + std::to_string(options_.max_tenants) +
                                        " tenants, its limit (quotas.tenants)");
  }
  const TenantId id = next_id_++;
  std::shared_ptr<Tenant> tenant = Tenant::Create(id, options_.quotas, environment_, sink);
  tenants_[id] = tenant;
  environment_.log.Info("tenant_attached", {{"tenant", id}, {"tenants", tenants_.size()}});
  return tenant;
}

void TenantTable::Release(Tenant& tenant) {
  tenant.Close();
  std::shared_ptr<Tenant> released;  // destroyed after the lock is released
  const absl::MutexLock lock(&mu_);
  const auto found = tenants_.find(tenant.id());
  if (found == tenants_.end()) {
    return;
  }
  released = std::move(found->second);
  tenants_.erase(found);
  environment_.log.Info("tenant_left", {{"tenant", tenant.id()}, {"tenants", tenants_.size()}});
}

void TenantTable::Configure(const Options& options) {
  const absl::MutexLock lock(&mu_);
  options_ = options;
  for (const auto& [id, tenant] : tenants_) {
    tenant->SetQuotas(options.quotas);
  }
}

TenantQuotas TenantTable::quotas() const {
  const absl::MutexLock lock(&mu_);
  return options_.quotas;
}

void TenantTable::Drain() {
  const absl::MutexLock lock(&mu_);
  draining_ = true;
  for (const auto& [id, tenant] : tenants_) {
    tenant->Drain();
  }
}

size_t TenantTable::size() const {
  const absl::MutexLock lock(&mu_);
  return tenants_.size();
}

AcceleratorState TenantTable::state() const {
  const absl::MutexLock lock(&mu_);
  AcceleratorState state;
  state.tenants = tenants_.size();
  for (const auto& [id, tenant] : tenants_) {
    tenant->AddTo(state);
  }
  return state;
}

void TenantTable::AwaitSize(size_t count) const {
  const absl::MutexLock lock(&mu_);
  const auto reached = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return tenants_.size() == count; };
  mu_.Await(absl::Condition(&reached));
}

}  // namespace shoji::accelerator
