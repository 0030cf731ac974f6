// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>

namespace shoji::enclave {

// Whether what is done again and again is short, judged by what it has taken of a processor lately: nearly all of it
// less than `limit`. A few may take longer. Thread-safe.
class ServiceTime {
 public:
  explicit ServiceTime(std::chrono::nanoseconds limit) : limit_(limit) {}

  void Record(std::chrono::nanoseconds took) {
    // Two threads at once may lose one of their counts, which does not matter.
    const int doubts = doubts_.load(std::memory_order_relaxed);
    doubts_.store(took < limit_ ? std::max(doubts - 1, 0) : std::min(doubts + kLong, kMax), std::memory_order_relaxed);
  }
  // False until enough is known.
  bool IsShort() const { return doubts_.load(std::memory_order_relaxed) == 0; }

 private:
  static constexpr int kLong = 16;  // so many short ones outweigh a long one
  static constexpr int kMax = 256;

  const std::chrono::nanoseconds limit_;
  std::atomic<int> doubts_ = kLong;
};

}  // namespace shoji::enclave
