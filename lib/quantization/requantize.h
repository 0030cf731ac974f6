// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// From an exact accumulator to a byte: the definition that every kernel, here and in enclave_worker/core/masking,
// matches bit for bit. Branch-free on values.
#pragma once

#include <cstdint>

namespace shoji::quantization {

// Of float32 values far outside the range of bytes nothing but the sign matters; this bound keeps them convertible.
inline constexpr float kRoundingBound = 16777216.0F;  // 2^24

//   t = float32(accumulator_plus_bias)      nearest, ties to even
//   y = t * multiplier                      float32, likewise
//   clamp(round_half_even(clamp(y, -2^24, 2^24)) + zero_point, min, max)
uint8_t Requantize(int64_t accumulator_plus_bias, float multiplier, uint8_t zero_point, uint8_t min, uint8_t max);

}  // namespace shoji::quantization
