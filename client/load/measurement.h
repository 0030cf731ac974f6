// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What was measured at one level of load, and what records it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/load/options.h"
#include "lib/base/clock.h"
#include "lib/channel/phase_times.h"
#include "lib/histogram/histogram.h"

namespace shoji::client::load {

// One request, from when it was meant to be sent.
struct Sample {
  SteadyTime intended;
  SteadyTime sent;
  SteadyTime done;
  absl::Status status;
  std::optional<channel::PhaseTimes> phases;
  std::chrono::nanoseconds handshake{0};  // of a session of its own; part of the latency
};

// A stretch of time.
struct Slice {
  std::chrono::nanoseconds begin{0};
  uint64_t answered = 0;
  uint64_t errors = 0;
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds max{0};
};

// Copyable; thread-compatible.
struct Measurement {
  Mode mode = Mode::kConcurrency;
  double level = 0;  // requests in flight, or a second
  std::chrono::nanoseconds took{0};
  uint64_t answered = 0;
  uint64_t failed = 0;
  uint64_t dropped = 0;                     // never sent: their time was over before their turn came
  uint64_t late = 0;                        // sent more than kLate after they were meant to be
  uint64_t reopened = 0;                    // sessions that had to be opened anew
  Histogram latency;                        // of answers, from the intended time
  Histogram service;                        // of answers, from when they were sent
  Histogram lag;                            // of all that were sent: how long after the intended time
  Histogram attestation;                    // fetching and appraising evidence
  Histogram handshake;                      // opening a session
  std::map<std::string, Histogram> errors;  // by status and reason: latency from the intended time
  std::array<Histogram, channel::kNumPhases> phases;
  std::vector<Slice> slices;
  std::chrono::nanoseconds slice_length{0};
  std::chrono::nanoseconds cpu{0};  // of this process, user and system, while it lasted

  static constexpr std::chrono::nanoseconds kLate = std::chrono::milliseconds(1);

  uint64_t requests() const { return answered + failed + dropped; }
  double achieved_rate() const;  // answers a second
  double error_share() const;    // failed and dropped, of all
  bool Keeps(const Slo& slo) const;
};

// "RESOURCE_EXHAUSTED (OVERLOADED)".
std::string ErrorKey(const absl::Status& status);

// "1234567", "0.5"; to twelve digits.
std::string LevelNumber(double level);

// Records the samples of one level. Memory does not grow with their number. Thread-safe.
class Recorder {
 public:
  // `raw`: where each sample also goes, as CSV; may be null, and must outlive it.
  Recorder(Mode mode, double level, std::ofstream* raw);
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // What counts begins at `begin`; before any sample.
  void Begin(SteadyTime begin);
  void Record(const Sample& sample);
  // `now`: when it was given up.
  void Dropped(SteadyTime intended, SteadyTime now);
  void Attested(std::chrono::nanoseconds took);
  void Opened(std::chrono::nanoseconds took, bool again);

  // For progress.
  struct Progress {
    uint64_t answered = 0;
    uint64_t failed = 0;
    std::chrono::nanoseconds p99{0};
  };
  Progress progress() const;

  // What was recorded until `end`; the recorder is empty afterwards.
  Measurement Finish(SteadyTime end, std::chrono::nanoseconds cpu);

  static const char* RawHeader();

 private:
  static constexpr size_t kMaxSlices = 240;
  void CloseSlice() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AdvanceTo(SteadyTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::ofstream* const raw_;
  mutable absl::Mutex mu_;
  SteadyTime begin_ ABSL_GUARDED_BY(mu_);
  Measurement measured_ ABSL_GUARDED_BY(mu_);
  Slice slice_ ABSL_GUARDED_BY(mu_);
  Histogram in_slice_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::client::load
