// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The 16-bit floats of ONNX files; every one of them is a float32.
#pragma once

#include <bit>
#include <cstdint>

namespace shoji::graph::onnx_io {

// IEEE 754 binary16.
inline float FromFloat16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1FU;
  const uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {  // zero and subnormals: fraction * 2^-24, exact in float32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign == 0 ? magnitude : -magnitude;
  }
  const uint32_t rebased = exponent == 0x1F ? 0xFFU : exponent + (127 - 15);
  return std::bit_cast<float>(sign | rebased << 23 | fraction << 13);
}

// The upper half of a float32.
inline float FromBfloat16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

}  // namespace shoji::graph::onnx_io
