// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/accelerator_group.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "lib/base/reason.h"

namespace shoji::enclave {
namespace {

// Whether `outputs` are those of `batch` requests, each of which has the form of `expected`.
bool HasForm(const std::vector<Tensor>& outputs, std::span<const partition::CrossingTensor> expected, size_t batch) {
  if (outputs.size() != batch * expected.size()) {
    return false;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const partition::CrossingTensor& type = expected[i % expected.size()];
    if (outputs[i].type() != type.type || outputs[i].shape() != type.shape) {
      return false;
    }
  }
  return true;
}

}  // namespace

AcceleratorGroup::AcceleratorGroup(std::vector<Accelerator*> accelerators, const ReadinessSignal& readiness,
                                   const Clock& clock, const Options& options)
    : accelerators_(std::move(accelerators)), readiness_(readiness), clock_(clock), options_(options) {}

bool AcceleratorGroup::Quarantined(const Accelerator& accelerator) const {
  return options_.quarantine != nullptr && options_.quarantine->Holds(accelerator);
}

bool AcceleratorGroup::Serves(const digest::Sha256Digest& digest) const {
  return std::any_of(accelerators_.begin(), accelerators_.end(), [&](const Accelerator* accelerator) {
    return accelerator->Serves(digest) && !Quarantined(*accelerator);
  });
}

bool AcceleratorGroup::Eligible(const Candidate& candidate, const Avoided& avoided) const {
  return candidate.attempts_left > 0 && !avoided.contains(candidate.accelerator) &&
         !Quarantined(*candidate.accelerator);
}

AcceleratorGroup::Candidate* AcceleratorGroup::Choose(std::vector<Candidate>& candidates, const Call& call) const {
  Candidate* best = nullptr;
  size_t best_load = 0;
  for (Candidate& candidate : candidates) {
    if (!Eligible(candidate, call.avoided) || !candidate.accelerator->Serves(call.digest)) {
      continue;
    }
    const size_t load = candidate.accelerator->num_in_flight();
    if (best == nullptr || load < best_load) {
      best = &candidate;
      best_load = load;
    }
  }
  return best;
}

void AcceleratorGroup::Blame(const Call& call, const Accelerator& accelerator, Offence offence) const {
  call.avoided.insert(&accelerator);
  if (options_.quarantine != nullptr) {
    options_.quarantine->Punish(accelerator, offence);
  }
}

absl::StatusOr<std::vector<Tensor>> AcceleratorGroup::Try(const Call& call, Attempt attempt, Candidate& candidate,
                                                          SteadyTime now) const {
  Accelerator& accelerator = *candidate.accelerator;
  const SteadyTime::duration share = (call.deadline - now) / call.attempt_share;
  const SteadyTime end = now + std::min<SteadyTime::duration>(share, options_.attempt_timeout);
  absl::StatusOr<std::vector<Tensor>> outputs = attempt(accelerator, end);
  if (outputs.ok() && HasForm(*outputs, call.expected, call.batch)) {
    return outputs;
  }
  const bool lost = absl::IsUnavailable(outputs.status());
  candidate.attempts_left = lost ? candidate.attempts_left - 1 : 0;
  if (lost && candidate.attempts_left == 0) {
    call.avoided.insert(&accelerator);  // it breaks, or breaks off, whenever it is asked
  }
  if (outputs.ok() || absl::IsInvalidArgument(outputs.status())) {
    Blame(call, accelerator, Offence::kMalformedAnswer);
    return absl::InvalidArgumentError("the accelerator's answer is not of the form that was asked for");
  }
  if (absl::IsDeadlineExceeded(outputs.status()) && clock_.SteadyNow() >= end) {
    // An attempt that was cut short by the caller's own deadline proves nothing against the accelerator.
    if (share >= options_.attempt_timeout) {
      Blame(call, accelerator, Offence::kNoAnswer);
    } else {
      call.avoided.insert(&accelerator);
    }
  }
  return outputs;
}

absl::StatusOr<AcceleratorGroup::Answer> AcceleratorGroup::Run(const Call& call, Attempt attempt) const {
  std::vector<Candidate> candidates;
  for (Accelerator* accelerator : accelerators_) {
    candidates.push_back({.accelerator = accelerator, .attempts_left = options_.max_attempts_each});
  }
  std::optional<SteadyTime> give_up;  // set when waiting begins
  while (true) {
    const uint64_t generation = readiness_.generation();  // before looking, so that no change is missed
    const SteadyTime now = clock_.SteadyNow();
    if (now >= call.deadline) {
      return ErrorOf(Reason::kDeadline);
    }
    if (Candidate* chosen = Choose(candidates, call); chosen != nullptr) {
      absl::StatusOr<std::vector<Tensor>> outputs = Try(call, attempt, *chosen, now);
      if (outputs.ok()) {
        return Answer{.outputs = *std::move(outputs), .from = chosen->accelerator};
      }
      continue;
    }
    give_up = give_up.value_or(now + std::min<SteadyTime::duration>(options_.patience, call.deadline - now));
    const bool hopeless = std::none_of(candidates.begin(), candidates.end(),
                                       [&](const Candidate& candidate) { return Eligible(candidate, call.avoided); });
    if (hopeless || now >= *give_up) {
      return ErrorOf(Reason::kNoAccelerator);
    }
    readiness_.AwaitChange(generation, absl::FromChrono(*give_up - now));
  }
}

absl::StatusOr<std::vector<Tensor>> AcceleratorGroup::Execute(const digest::Sha256Digest& digest,
                                                              std::span<const Tensor* const> inputs,
                                                              std::span<const partition::CrossingTensor> expected,
                                                              const Execution& execution) const {
  Avoided nobody;
  const Call call{.digest = digest,
                  .expected = expected,
                  .batch = execution.batch,
                  .deadline = execution.deadline,
                  .avoided = nobody};
  absl::StatusOr<Answer> answer = Run(call, [&](Accelerator& accelerator, SteadyTime end) {
    return accelerator.Execute(digest, inputs, {end, execution.traceparent, execution.batch});
  });
  if (!answer.ok()) {
    return answer.status();
  }
  return std::move(answer->outputs);
}

absl::StatusOr<AcceleratorGroup::Answer> AcceleratorGroup::ExecuteOn(
    const digest::Sha256Digest& digest, const MakeInputs& make_inputs,
    std::span<const partition::CrossingTensor> expected, const Execution& execution, Avoided& avoided) const {
  const Call call{.digest = digest,
                  .expected = expected,
                  .batch = execution.batch,
                  .deadline = execution.deadline,
                  .attempt_share = 2,
                  .avoided = avoided};
  return Run(call, [&](Accelerator& accelerator, SteadyTime end) {
    const std::vector<Tensor> inputs = make_inputs(accelerator);
    std::vector<const Tensor*> views;
    views.reserve(inputs.size());
    for (const Tensor& input : inputs) {
      views.push_back(&input);
    }
    return accelerator.Execute(digest, views, {end, execution.traceparent, execution.batch});
  });
}

}  // namespace shoji::enclave
