// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/clock.h"

#include <ctime>

namespace shoji {

SteadyTime RealClock::SteadyNow() const { return std::chrono::steady_clock::now(); }
SystemTime RealClock::SystemNow() const { return std::chrono::system_clock::now(); }
std::chrono::nanoseconds RealClock::ThreadTime() const {
  timespec used = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace shoji
