// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/clock.h"

namespace shoji {

SteadyTime RealClock::SteadyNow() const { return std::chrono::steady_clock::now(); }
SystemTime RealClock::SystemNow() const { return std::chrono::system_clock::now(); }

}  // namespace shoji
