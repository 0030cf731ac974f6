// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/accelerator.h"
#include "enclave_worker/core/readiness_signal.h"
#include "lib/base/clock.h"
#include "lib/digest/sha2.h"
#include "lib/partition/plan.h"
#include "lib/tensor/tensor.h"

namespace shoji::enclave {

// The accelerators that may serve one segment. Losing one costs a retry on another, or a short wait for it to come
// back, and not the request. Thread-safe; borrows the accelerators, the signal and the clock.
class AcceleratorGroup {
 public:
  struct Options {
    // How long one request waits, in all, while no accelerator serves the sub-model.
    std::chrono::nanoseconds patience = std::chrono::seconds(2);
    // How often one request is tried on the same accelerator when it is lost under way. Answers that are wrong, and
    // refusals, are not tried again on the same one.
    int max_attempts_each = 3;
  };

  // `readiness` is the signal that all of `accelerators` notify.
  AcceleratorGroup(std::vector<Accelerator*> accelerators, const ReadinessSignal& readiness, const Clock& clock,
                   const Options& options);
  AcceleratorGroup(const AcceleratorGroup&) = delete;
  AcceleratorGroup& operator=(const AcceleratorGroup&) = delete;

  // Runs the sub-model registered as `digest` with every accelerator of the group, on the least loaded that serves it
  // first. The outputs have the number, types and shapes of `expected`; an accelerator that answers otherwise has
  // failed. Errors: Reason::kDeadline, Reason::kNoAccelerator when none answered in time.
  absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& digest, std::span<const Tensor* const> inputs,
                                              std::span<const partition::CrossingTensor> expected,
                                              SteadyTime deadline) const;

  // Whether an Execute of this sub-model would find an accelerator without waiting.
  bool Serves(const digest::Sha256Digest& digest) const;

 private:
  struct Candidate {
    Accelerator* accelerator = nullptr;
    int attempts_left = 0;
  };
  // The least loaded that serves `digest` and still has attempts; null when there is none.
  static Candidate* Choose(std::vector<Candidate>& candidates, const digest::Sha256Digest& digest);

  const std::vector<Accelerator*> accelerators_;
  const ReadinessSignal& readiness_;
  const Clock& clock_;
  const Options options_;
};

}  // namespace shoji::enclave
