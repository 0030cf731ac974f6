// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace shoji::enclave {

// Wakes whoever waits for an accelerator to become ready. One for all accelerators of an enclave: each notifies it
// after every change of its ready(), and a waiter looks at all of them again. To miss nothing, read `generation` first,
// look at the accelerators next, and wait for a change of that generation last. Thread-safe.
class ReadinessSignal {
 public:
  ReadinessSignal() = default;
  ReadinessSignal(const ReadinessSignal&) = delete;
  ReadinessSignal& operator=(const ReadinessSignal&) = delete;

  void Notify() {
    const absl::MutexLock lock(&mu_);
    ++generation_;
  }

  uint64_t generation() const {
    const absl::MutexLock lock(&mu_);
    return generation_;
  }

  // Returns when the generation is no longer `seen`, or after `patience`.
  void AwaitChange(uint64_t seen, absl::Duration patience) const {
    const absl::MutexLock lock(&mu_);
    const auto changed = [this, seen]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return generation_ != seen; };
    mu_.AwaitWithTimeout(absl::Condition(&changed), patience);
  }

 private:
  mutable absl::Mutex mu_;
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace shoji::enclave
