// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "enclave_worker/core/accelerator.h"
#include "enclave_worker/core/quarantine.h"
#include "enclave_worker/core/readiness_signal.h"
#include "lib/base/clock.h"
#include "lib/digest/sha2.h"
#include "lib/partition/plan.h"
#include "lib/tensor/tensor.h"

namespace shoji::enclave {

// The accelerators that may serve one segment. Losing one costs a retry on another, or a short wait for it to come
// back, and not the request. Those that the quarantine holds are passed over; who answers in a form that was not asked
// for, or uses up `attempt_timeout`, is put there. Thread-safe; borrows the accelerators, the signal, the clock and the
// quarantine.
class AcceleratorGroup {
 public:
  struct Options {
    // How long one request waits, in all, while no accelerator serves the sub-model. Not for one to leave quarantine.
    std::chrono::nanoseconds patience = std::chrono::seconds(2);
    // How often one request is tried on the same accelerator when it is lost under way. Answers that are wrong, and
    // refusals, are not tried again on the same one.
    int max_attempts_each = 3;
    // What one attempt may take before the next accelerator is tried. The default is no bound but the deadline.
    std::chrono::nanoseconds attempt_timeout = std::chrono::nanoseconds::max();
    // Optional.
    Quarantine* quarantine = nullptr;
  };
  struct Answer {
    std::vector<Tensor> outputs;
    Accelerator* from = nullptr;
  };
  // Makes the inputs for an attempt on `to`, anew for every attempt: a masked message is rebuilt from x and the pad's
  // key, and never read back from memory that an accelerator could have changed. From the call on `to` must be taken to
  // know them, whatever becomes of the attempt.
  using MakeInputs = std::function<std::vector<Tensor>(const Accelerator& to)>;
  // Accelerators that one request does not ask, or no longer.
  using Avoided = std::set<const Accelerator*>;

  // `readiness` is the signal that all of `accelerators` notify.
  AcceleratorGroup(std::vector<Accelerator*> accelerators, const ReadinessSignal& readiness, const Clock& clock,
                   const Options& options);
  AcceleratorGroup(const AcceleratorGroup&) = delete;
  AcceleratorGroup& operator=(const AcceleratorGroup&) = delete;

  // Runs the sub-model registered as `digest` with every accelerator of the group, on the least loaded that serves it
  // first. The outputs have the number, types and shapes of `expected`, once for each request of the execution's batch;
  // an accelerator that answers otherwise has failed. Errors: Reason::kDeadline, Reason::kNoAccelerator when none
  // answered in time.
  absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& digest, std::span<const Tensor* const> inputs,
                                              std::span<const partition::CrossingTensor> expected,
                                              const Execution& execution) const;

  // The same for a caller that wants to know who answered, that makes its inputs for each attempt, and that can do
  // without: no attempt takes more than half of the time that is left, so that the caller can still compute the layer
  // itself. Nobody in `avoided` is asked; whoever has let an attempt run out, answered in a wrong form or been lost at
  // every attempt is added to it, so that a request that carries it along loses that time once and not at every layer.
  // At once Reason::kNoAccelerator when all are avoided or in quarantine.
  absl::StatusOr<Answer> ExecuteOn(const digest::Sha256Digest& digest, const MakeInputs& make_inputs,
                                   std::span<const partition::CrossingTensor> expected, const Execution& execution,
                                   Avoided& avoided) const;

  // Whether an Execute of this sub-model would find an accelerator without waiting.
  bool Serves(const digest::Sha256Digest& digest) const;

 private:
  struct Candidate {
    Accelerator* accelerator = nullptr;
    int attempts_left = 0;
  };
  struct Call {
    const digest::Sha256Digest& digest;
    std::span<const partition::CrossingTensor> expected;
    size_t batch = 1;
    SteadyTime deadline;
    int attempt_share = 1;  // an attempt gets 1/attempt_share of the time that is left
    Avoided& avoided;
  };
  // One attempt on an accelerator, up to a deadline of its own.
  using Attempt = absl::FunctionRef<absl::StatusOr<std::vector<Tensor>>(Accelerator&, SteadyTime)>;

  absl::StatusOr<Answer> Run(const Call& call, Attempt attempt) const;
  // One attempt on `candidate`; its outputs, or how it failed, after what follows from that for `candidate`, the call
  // and the quarantine.
  absl::StatusOr<std::vector<Tensor>> Try(const Call& call, Attempt attempt, Candidate& candidate,
                                          SteadyTime now) const;
  void Blame(const Call& call, const Accelerator& accelerator, Offence offence) const;
  // May be asked, now or when it serves the sub-model again.
  bool Eligible(const Candidate& candidate, const Avoided& avoided) const;
  // The least loaded that is eligible and serves `digest`; null when there is none.
  Candidate* Choose(std::vector<Candidate>& candidates, const Call& call) const;
  bool Quarantined(const Accelerator& accelerator) const;

  const std::vector<Accelerator*> accelerators_;
  const ReadinessSignal& readiness_;
  const Clock& clock_;
  const Options options_;
};

}  // namespace shoji::enclave
