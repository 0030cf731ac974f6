// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What goes with one request through a model, besides its tensors.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/clock.h"
#include "lib/channel/phase_times.h"

namespace shoji::enclave {

// Owned by the thread that runs the request.
struct RunContext {
  explicit RunContext(SteadyTime until) : deadline(until) {}

  SteadyTime deadline;
  std::string traceparent;     // the caller's own, valid or empty; public
  channel::PhaseTimes phases;  // grows on the way
  // Whether the caller has gone; asked, if there is one, while the request waits, and between one step and the next: a
  // caller whose call is over has no place at the front end any more, and is to have none here.
  std::function<bool()> is_cancelled;

  bool IsCancelled() const { return is_cancelled && is_cancelled(); }
};

// Adds the time that it lives to a phase. Thread-compatible.
class PhaseTimer {
 public:
  // Both outlive it.
  PhaseTimer(const Clock& clock, RunContext& run, channel::Phase phase)
      : clock_(clock), run_(run), phase_(phase), started_(clock.SteadyNow()) {}
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;
  ~PhaseTimer() { run_.phases[phase_] += clock_.SteadyNow() - started_; }

 private:
  const Clock& clock_;
  RunContext& run_;
  const channel::Phase phase_;
  const SteadyTime started_;
};

// The same for requests that run together: each has been through what all of them take. Thread-compatible.
class BatchTimer {
 public:
  // All outlive it.
  BatchTimer(const Clock& clock, std::vector<RunContext*> runs, channel::Phase phase)
      : clock_(clock), runs_(std::move(runs)), phase_(phase), started_(clock.SteadyNow()) {}
  BatchTimer(const BatchTimer&) = delete;
  BatchTimer& operator=(const BatchTimer&) = delete;
  ~BatchTimer() {
    const SteadyTime::duration took = clock_.SteadyNow() - started_;
    for (RunContext* run : runs_) {
      run->phases[phase_] += took;
    }
  }

 private:
  const Clock& clock_;
  const std::vector<RunContext*> runs_;
  const channel::Phase phase_;
  const SteadyTime started_;
};

}  // namespace shoji::enclave
