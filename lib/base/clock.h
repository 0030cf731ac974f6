// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>

namespace shoji {

using SteadyTime = std::chrono::steady_clock::time_point;
using SystemTime = std::chrono::system_clock::time_point;

// The only source of time, so that tests can move it. Thread-safe.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  // For intervals and deadlines.
  virtual SteadyTime SteadyNow() const = 0;
  // For expiry dates that others also see.
  virtual SystemTime SystemNow() const = 0;
  // Processor time that the calling thread has used: what its work takes, without what it waited for a processor.
  virtual std::chrono::nanoseconds ThreadTime() const = 0;
};

class RealClock final : public Clock {
 public:
  SteadyTime SteadyNow() const override;
  SystemTime SystemNow() const override;
  std::chrono::nanoseconds ThreadTime() const override;
};

}  // namespace shoji
