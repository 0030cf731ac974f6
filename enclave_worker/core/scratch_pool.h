// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace shoji::enclave {

// The memory of runs (workspaces, frames), lent to one run at a time and wiped when it comes back, so that no
// intermediate value outlives its request. Grows to the number of runs at the same time. `Scratch` has Wipe().
// Thread-safe; outlives its leases.
template <typename Scratch>
class ScratchPool {
 public:
  class Lease {
   public:
    Lease(ScratchPool& pool, std::unique_ptr<Scratch> scratch) : pool_(&pool), scratch_(std::move(scratch)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { pool_->Return(std::move(scratch_)); }
    Scratch& operator*() { return *scratch_; }

   private:
    ScratchPool* pool_;
    std::unique_ptr<Scratch> scratch_;
  };

  explicit ScratchPool(std::function<std::unique_ptr<Scratch>()> make) : make_(std::move(make)) {}
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;

  Lease Borrow() {
    {
      const absl::MutexLock lock(&mu_);
      if (!idle_.empty()) {
        std::unique_ptr<Scratch> scratch = std::move(idle_.back());
        idle_.pop_back();
        return {*this, std::move(scratch)};
      }
    }
    return {*this, make_()};
  }

 private:
  void Return(std::unique_ptr<Scratch> scratch) {
    scratch->Wipe();
    const absl::MutexLock lock(&mu_);
    idle_.push_back(std::move(scratch));
  }

  const std::function<std::unique_ptr<Scratch>()> make_;
  absl::Mutex mu_;
  std::vector<std::unique_ptr<Scratch>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
