// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"

namespace shoji::testing {

// Time that stands still until a test moves it. For tests only. Thread-safe.
class FakeClock final : public Clock {
 public:
  // Starts at 2026-01-01 00:00:00 UTC.
  FakeClock() = default;

  SteadyTime SteadyNow() const override {
    const absl::MutexLock lock(&mu_);
    return steady_;
  }
  SystemTime SystemNow() const override {
    const absl::MutexLock lock(&mu_);
    return system_;
  }
  // As if the thread had run all the time.
  std::chrono::nanoseconds ThreadTime() const override { return SteadyNow().time_since_epoch(); }

  // Moves both clocks.
  void Advance(std::chrono::nanoseconds by) {
    const absl::MutexLock lock(&mu_);
    steady_ += std::chrono::duration_cast<SteadyTime::duration>(by);
    system_ += std::chrono::duration_cast<SystemTime::duration>(by);
  }
  // Sets the date only, as an administrator does.
  void SetSystemTime(SystemTime to) {
    const absl::MutexLock lock(&mu_);
    system_ = to;
  }

 private:
  mutable absl::Mutex mu_;
  SteadyTime steady_ ABSL_GUARDED_BY(mu_) = SteadyTime(std::chrono::hours(1));
  SystemTime system_ ABSL_GUARDED_BY(mu_) = SystemTime(std::chrono::seconds(1767225600));
};

}  // namespace shoji::testing
