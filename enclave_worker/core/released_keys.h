// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/query_budget.h"
#include "lib/channel/release.h"
#include "lib/digest/sha2.h"
#include "lib/sealed_model/keys.h"

namespace shoji::enclave {

// The keys of sealed models that their owners released to this process, and what is left of each one's budget, by the
// digest of the sealed file. They outlive every reload, so that none of them resets a budget, and end with the process.
// Keys lie in locked memory. Thread-safe.
class ReleasedKeys {
 public:
  // 64 keys of 32 bytes are nothing, and no enclave holds as many models.
  static constexpr size_t kMaxKeys = 64;
  static constexpr size_t kMaxNonces = 65536;

  ReleasedKeys() = default;
  ReleasedKeys(const ReleasedKeys&) = delete;
  ReleasedKeys& operator=(const ReleasedKeys&) = delete;

  std::optional<sealed_model::FileKey> Find(const digest::Sha256Digest& sealed_digest) const;
  // Whether `key` is the key that was kept for `sealed_digest`.
  bool Holds(const digest::Sha256Digest& sealed_digest, const sealed_model::FileKey& key) const;
  // The one budget of the sealed file, whichever models are made of it.
  std::shared_ptr<QueryBudget> BudgetOf(const digest::Sha256Digest& sealed_digest);

  // Keeps a key that opens the file. RESOURCE_EXHAUSTED at kMaxKeys.
  absl::Status Keep(const digest::Sha256Digest& sealed_digest, const sealed_model::FileKey& key);
  // Takes note of the nonce of a release under a right key: REPLAYED when it was used before, OVERLOADED when no more
  // can be remembered; then the release counts for nothing.
  absl::Status UseNonce(const channel::ReleaseNonce& nonce);

 private:
  mutable absl::Mutex mu_;
  std::map<digest::Sha256Digest, sealed_model::FileKey> keys_ ABSL_GUARDED_BY(mu_);
  // Shared with the models that were made of the file.
  std::map<digest::Sha256Digest, std::shared_ptr<QueryBudget>> budgets_ ABSL_GUARDED_BY(mu_);
  std::set<channel::ReleaseNonce> nonces_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
