// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/load/schedule.h"

#include <cmath>

namespace shoji::client::load {

std::chrono::nanoseconds Schedule::Next() {
  if (arrival_ == Arrival::kConstant) {
    at_ = static_cast<double>(num_++) / rate_;  // not summed up: it would drift
  } else {
    // Not std::exponential_distribution, which each library computes in a way of its own.
    constexpr double kScale = 1.0 / 9007199254740992.0;  // 2^-53
    const double uniform = static_cast<double>(random_() >> 11) * kScale;
    at_ += -std::log1p(-uniform) / rate_;
  }
  return std::chrono::nanoseconds(static_cast<int64_t>(at_ * 1e9));
}

}  // namespace shoji::client::load
