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

bool HasForm(const std::vector<Tensor>& outputs, std::span<const partition::CrossingTensor> expected) {
  return std::equal(outputs.begin(), outputs.end(), expected.begin(), expected.end(),
                    [](const Tensor& output, const partition::CrossingTensor& type) {
                      return output.type() == type.type && output.shape() == type.shape;
                    });
}

}  // namespace

AcceleratorGroup::AcceleratorGroup(std::vector<Accelerator*> accelerators, const ReadinessSignal& readiness,
                                   const Clock& clock, const Options& options)
    : accelerators_(std::move(accelerators)), readiness_(readiness), clock_(clock), options_(options) {}

bool AcceleratorGroup::Serves(const digest::Sha256Digest& digest) const {
  return std::any_of(accelerators_.begin(), accelerators_.end(),
                     [&](const Accelerator* accelerator) { return accelerator->Serves(digest); });
}

AcceleratorGroup::Candidate* AcceleratorGroup::Choose(std::vector<Candidate>& candidates,
                                                      const digest::Sha256Digest& digest) {
  Candidate* best = nullptr;
  size_t best_load = 0;
  for (Candidate& candidate : candidates) {
    if (candidate.attempts_left <= 0 || !candidate.accelerator->Serves(digest)) {
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

absl::StatusOr<std::vector<Tensor>> AcceleratorGroup::Execute(const digest::Sha256Digest& digest,
                                                              std::span<const Tensor* const> inputs,
                                                              std::span<const partition::CrossingTensor> expected,
                                                              SteadyTime deadline) const {
  std::vector<Candidate> candidates;
  for (Accelerator* accelerator : accelerators_) {
    candidates.push_back({.accelerator = accelerator, .attempts_left = options_.max_attempts_each});
  }
  std::optional<SteadyTime> give_up;  // set when waiting begins
  while (true) {
    const uint64_t generation = readiness_.generation();  // before looking, so that no change is missed
    const SteadyTime now = clock_.SteadyNow();
    if (now >= deadline) {
      return ErrorOf(Reason::kDeadline);
    }
    if (Candidate* chosen = Choose(candidates, digest); chosen != nullptr) {
      absl::StatusOr<std::vector<Tensor>> outputs = chosen->accelerator->Execute(digest, inputs, deadline);
      if (outputs.ok() && HasForm(*outputs, expected)) {
        return outputs;
      }
      const bool lost = absl::IsUnavailable(outputs.status());
      chosen->attempts_left = lost ? chosen->attempts_left - 1 : 0;
      continue;
    }
    give_up = give_up.value_or(now + std::min(options_.patience, deadline - now));
    const bool hopeless = std::all_of(candidates.begin(), candidates.end(),
                                      [](const Candidate& candidate) { return candidate.attempts_left <= 0; });
    if (hopeless || now >= *give_up) {
      return ErrorOf(Reason::kNoAccelerator);
    }
    readiness_.AwaitChange(generation, absl::FromChrono(*give_up - now));
  }
}

}  // namespace shoji::enclave
