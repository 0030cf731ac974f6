// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How the tensors of a quantized linear layer lie in memory, in the enclave, on the wire and in the accelerator alike,
// so that nobody rearranges anything on the way. All are arrays of bytes:
//
//   activations  [height][width][channels]              one byte a value, channels padded
//   limbs        [height][num_limbs][plane]             plane = [width][channels], padded to 64 bytes; limb l holds
//                                                       bits 8l .. 8l+7 of the ring element of each value
//   words        [height][width][channels][word]        ring elements, little-endian, 3 or 4 bytes, channels padded
//
// Channels are padded to a multiple of 4. What lies in the padding of activations and limbs never matters (the weights
// there are zero) and may be anything; in words it is zero.
//
// Two-dimensional layers (Gemm, MatMul with a constant right side: [rows, in] -> [rows, out]) are convolutions with a
// 1x1 kernel over one line of `rows` positions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/kernels/geometry.h"

namespace shoji::kernels::ring {

// Z_2^24 or Z_2^32; the value is the bytes of one element.
enum class Ring : uint8_t { k24 = 3, k32 = 4 };
constexpr size_t WordBytes(Ring ring) { return static_cast<size_t>(ring); }
constexpr int Bits(Ring ring) { return 8 * static_cast<int>(ring); }
// The low Bits(ring) bits.
constexpr uint32_t MaskOf(Ring ring) { return ring == Ring::k24 ? 0xFFFFFFU : 0xFFFFFFFFU; }

constexpr size_t PaddedChannels(int64_t channels) { return (static_cast<size_t>(channels) + 3) / 4 * 4; }

// Of the input of a layer. `num_limbs` is 1 (values in the clear: the bytes themselves) or WordBytes(ring) (masked).
constexpr size_t ActivationRowBytes(int64_t width, int64_t channels) {
  return static_cast<size_t>(width) * PaddedChannels(channels);
}
constexpr size_t PlaneBytes(int64_t width, int64_t channels) {
  return (ActivationRowBytes(width, channels) + 63) / 64 * 64;
}
constexpr size_t LimbRowBytes(const ConvGeometry& geometry, size_t num_limbs) {
  return num_limbs * PlaneBytes(geometry.input[1], geometry.in_channels);
}
constexpr size_t LimbBytes(const ConvGeometry& geometry, size_t num_limbs) {
  return static_cast<size_t>(geometry.input[0]) * LimbRowBytes(geometry, num_limbs);
}
// Of its output.
constexpr size_t WordRowBytes(const ConvGeometry& geometry, Ring ring) {
  return static_cast<size_t>(geometry.output[1]) * PaddedChannels(geometry.out_channels) * WordBytes(ring);
}
constexpr size_t WordsBytes(const ConvGeometry& geometry, Ring ring) {
  return static_cast<size_t>(geometry.output[0]) * WordRowBytes(geometry, ring);
}

}  // namespace shoji::kernels::ring
