// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/released_keys.h"

#include <utility>

#include "lib/base/reason.h"
#include "lib/crypto/constant_time.h"

namespace shoji::enclave {

using sealed_model::FileKey;

std::optional<FileKey> ReleasedKeys::Find(const digest::Sha256Digest& sealed_digest) const {
  const absl::MutexLock lock(&mu_);
  const auto found = keys_.find(sealed_digest);
  return found == keys_.end() ? std::nullopt : std::optional<FileKey>(FileKey::CopyOf(found->second.Expose()));
}

bool ReleasedKeys::Holds(const digest::Sha256Digest& sealed_digest, const FileKey& key) const {
  const absl::MutexLock lock(&mu_);
  const auto found = keys_.find(sealed_digest);
  return found != keys_.end() && crypto::ConstantTimeEquals(found->second.Expose(), key.Expose());
}

std::shared_ptr<QueryBudget> ReleasedKeys::BudgetOf(const digest::Sha256Digest& sealed_digest) {
  const absl::MutexLock lock(&mu_);
  std::shared_ptr<QueryBudget>& budget = budgets_[sealed_digest];
  if (budget == nullptr) {
    budget = std::make_shared<QueryBudget>();
  }
  return budget;
}

absl::Status ReleasedKeys::Keep(const digest::Sha256Digest& sealed_digest, const FileKey& key) {
  const absl::MutexLock lock(&mu_);
  if (keys_.contains(sealed_digest)) {
    return absl::OkStatus();
  }
  if (keys_.size() >= kMaxKeys) {
    return absl::ResourceExhaustedError("the enclave holds as many models' keys as it can");
  }
  keys_.emplace(sealed_digest, FileKey::CopyOf(key.Expose()));
  return absl::OkStatus();
}

absl::Status ReleasedKeys::UseNonce(const channel::ReleaseNonce& nonce) {
  const absl::MutexLock lock(&mu_);
  if (nonces_.contains(nonce)) {
    return ErrorOf(Reason::kReplayed);
  }
  if (nonces_.size() >= kMaxNonces) {
    return ErrorOf(Reason::kOverloaded);
  }
  nonces_.insert(nonce);
  return absl::OkStatus();
}

}  // namespace shoji::enclave
