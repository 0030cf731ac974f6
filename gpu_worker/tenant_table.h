// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "gpu_worker/tenant.h"
#include "gpu_worker/work_queue.h"

namespace shoji::accelerator {

// Who is attached. Thread-safe.
class TenantTable {
 public:
  struct Options {
    size_t max_tenants = 16;
    TenantQuotas quotas;  // of each
  };

  TenantTable(const Options& options, const Tenant::Environment& environment)
      : environment_(environment), options_(options) {}
  TenantTable(const TenantTable&) = delete;
  TenantTable& operator=(const TenantTable&) = delete;

  // A new tenant whose answers go to `sink`. RESOURCE_EXHAUSTED when there are `max_tenants`, UNAVAILABLE when
  // draining.
  absl::StatusOr<std::shared_ptr<Tenant>> Admit(AnswerSink& sink);
  // Closes `tenant` and frees its place.
  void Release(Tenant& tenant);
  // Replaces the options, for those attached too: what a tenant has beyond a lowered quota it keeps, and gets no more.
  void Configure(const Options& options);
  TenantQuotas quotas() const;
  // Refuses new tenants, and makes every tenant refuse new work.
  void Drain();

  size_t size() const;
  // But for what is queued.
  AcceleratorState state() const;
  // Returns once size() is `count`.
  void AwaitSize(size_t count) const;

 private:
  const Tenant::Environment environment_;
  mutable absl::Mutex mu_;
  Options options_ ABSL_GUARDED_BY(mu_);
  TenantId next_id_ ABSL_GUARDED_BY(mu_) = 1;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  // Shared with the stream and the jobs of each.
  std::map<TenantId, std::shared_ptr<Tenant>> tenants_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::accelerator
