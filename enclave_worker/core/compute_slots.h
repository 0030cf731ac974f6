// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/base/reason.h"

namespace shoji::enclave {

// How many requests compute at the same time. A request holds a slot only while it computes, not while it waits for an
// accelerator, so that the enclave works on others meanwhile. Thread-safe.
class ComputeSlots {
 public:
  ComputeSlots(int num_slots, const Clock& clock) : clock_(clock), free_(num_slots) {}
  ComputeSlots(const ComputeSlots&) = delete;
  ComputeSlots& operator=(const ComputeSlots&) = delete;

  // Waits for a slot until `deadline`; DEADLINE when none came free.
  absl::Status Acquire(SteadyTime deadline) {
    const absl::MutexLock lock(&mu_);
    const absl::Duration left = absl::FromChrono(deadline - clock_.SteadyNow());
    if (!mu_.AwaitWithTimeout(absl::Condition(
                                  +[](int* free) { return *free > 0; }, &free_),
                              left) ||
        clock_.SteadyNow() >= deadline) {
      return ErrorOf(Reason::kDeadline);
    }
    --free_;
    return absl::OkStatus();
  }
  void Release() {
    const absl::MutexLock lock(&mu_);
    ++free_;
  }

 private:
  const Clock& clock_;
  absl::Mutex mu_;
  int free_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
