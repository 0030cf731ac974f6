// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/requantize.h"

#include <algorithm>
#include <cmath>

namespace shoji::quantization {

uint8_t Requantize(int64_t accumulator_plus_bias, float multiplier, uint8_t zero_point, uint8_t min, uint8_t max) {
  const float y = static_cast<float>(accumulator_plus_bias) * multiplier;
  const float bounded = std::min(std::max(y, -kRoundingBound), kRoundingBound);
  const int32_t rounded = static_cast<int32_t>(std::nearbyint(bounded)) + int32_t{zero_point};
  return static_cast<uint8_t>(std::min(std::max(rounded, int32_t{min}), int32_t{max}));
}

}  // namespace shoji::quantization
