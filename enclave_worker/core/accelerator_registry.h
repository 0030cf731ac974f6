// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/accelerator.h"
#include "lib/partition/plan.h"

namespace shoji::enclave {

// The accelerators of the deployment, and which sub-models each must hold. Models come and go with reloads and may
// share segments, so each (accelerator, digest) is counted: registered with the first, unregistered with the last.
// Thread-safe.
class AcceleratorRegistry {
 public:
  struct Member {
    partition::AcceleratorIdentity identity;
    std::unique_ptr<Accelerator> accelerator;
  };
  // Keeps a sub-model registered with one accelerator while it lives. Must not outlive the registry.
  class Registration {
   public:
    Registration(AcceleratorRegistry& registry, Accelerator& accelerator, const digest::Sha256Digest& digest)
        : registry_(&registry), accelerator_(&accelerator), digest_(digest) {}
    Registration(Registration&& other) noexcept
        : registry_(std::exchange(other.registry_, nullptr)),
          accelerator_(other.accelerator_),
          digest_(other.digest_) {}
    Registration& operator=(Registration&&) = delete;
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    ~Registration() {
      if (registry_ != nullptr) {
        registry_->Drop(*accelerator_, digest_);
      }
    }

   private:
    AcceleratorRegistry* registry_;
    Accelerator* accelerator_;
    digest::Sha256Digest digest_;
  };

  explicit AcceleratorRegistry(std::vector<Member> members) : members_(std::move(members)) {}
  AcceleratorRegistry(const AcceleratorRegistry&) = delete;
  AcceleratorRegistry& operator=(const AcceleratorRegistry&) = delete;

  std::vector<partition::AcceleratorIdentity> identities() const;
  std::vector<const Accelerator*> all() const;
  // Null when there is none of that name.
  Accelerator* Find(const std::string& name) const;
  Registration Register(Accelerator& accelerator, const digest::Sha256Digest& digest,
                        std::shared_ptr<const Bytes> bytes, SubModelFormat format);

 private:
  void Drop(Accelerator& accelerator, const digest::Sha256Digest& digest);

  const std::vector<Member> members_;
  absl::Mutex mu_;
  std::map<std::pair<Accelerator*, digest::Sha256Digest>, int> counts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
