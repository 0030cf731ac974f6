// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>

namespace shoji::enclave {

// How long to wait before the next attempt to connect. Doubles from `initial` to `max`; each delay is drawn from its
// upper half, so that many enclaves do not return at the same moment. Thread-compatible.
class Backoff {
 public:
  struct Options {
    std::chrono::nanoseconds initial = std::chrono::milliseconds(50);
    std::chrono::nanoseconds max = std::chrono::seconds(2);
  };

  explicit Backoff(const Options& options) : options_(options), next_(options.initial) {}

  // The delay after one more failure; `random` is uniform in [0, 1).
  std::chrono::nanoseconds Next(double random);
  void Reset() { next_ = options_.initial; }

 private:
  const Options options_;
  std::chrono::nanoseconds next_;
};

}  // namespace shoji::enclave
