// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "client/load/options.h"

namespace shoji::client::load {

// When requests are meant to be sent, whatever the server does: the times do not depend on any answer. The same seed
// gives the same times on every machine. Thread-compatible.
class Schedule {
 public:
  // `rate` a second, positive.
  Schedule(Arrival arrival, double rate, uint64_t seed) : arrival_(arrival), rate_(rate), random_(seed) {}

  // Of the next request, since the start.
  std::chrono::nanoseconds Next();

 private:
  const Arrival arrival_;
  const double rate_;
  std::mt19937_64 random_;
  uint64_t num_ = 0;
  double at_ = 0;  // seconds
};

}  // namespace shoji::client::load
