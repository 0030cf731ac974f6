// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace shoji::enclave {

// Whether what is done again and again is short, judged by the mean of what it took of a processor, in which the last
// few count most. Short is what takes less than `limit`, until it takes twice that: near the limit neither is better
// than changing from one to the other. Thread-safe.
//
// A guest counts the time in which its host let it stand as time that the thread took. So no single one counts as more
// than some limits: one that stood for milliseconds says nothing about the others.
class ServiceTime {
 public:
  explicit ServiceTime(std::chrono::nanoseconds limit) : limit_(limit.count()), mean_(2 * limit.count()) {}

  void Record(std::chrono::nanoseconds took) {
    // Two threads at once may lose what one of them adds, which does not matter.
    const int64_t before = mean_.load(std::memory_order_relaxed);
    const int64_t mean = before + (std::min<int64_t>(took.count(), kMost * limit_) - before) / kLastFew;
    mean_.store(mean, std::memory_order_relaxed);
    if (mean < limit_) {
      is_short_.store(true, std::memory_order_relaxed);
    } else if (mean > 2 * limit_) {
      is_short_.store(false, std::memory_order_relaxed);
    }
  }
  // False until enough is known.
  bool IsShort() const { return is_short_.load(std::memory_order_relaxed); }

 private:
  static constexpr int64_t kLastFew = 32;
  static constexpr int64_t kMost = 8;

  const int64_t limit_;  // nanoseconds
  std::atomic<int64_t> mean_;
  std::atomic<bool> is_short_ = false;
};

}  // namespace shoji::enclave
