// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the ring kernels share on the device: where a window lies, and how elements and words do. For the .cu files here.
#pragma once

#include "gpu_worker/cuda/ring_kernels.h"

namespace shoji::accelerator {

__device__ __forceinline__ uint32_t Divide(uint32_t n, const Divisor& by) {
  return by.value == 1 ? n : __umulhi(n, by.multiplier) >> by.shift;
}

// Where the window of one position begins, in the input of its request, which begins at `base`.
struct alignas(16) Origin {
  int32_t row;
  int32_t column;
  int64_t base;
};

__device__ __forceinline__ Origin OriginOf(const RingConv& p, uint32_t position) {
  const uint32_t request = Divide(position, p.positions);
  const uint32_t at = position - request * p.positions.value;
  const uint32_t row = Divide(at, p.out_width);
  const uint32_t column = at - row * p.out_width.value;
  return {static_cast<int32_t>(row) * p.strides[0] - p.pads[0], static_cast<int32_t>(column) * p.strides[1] - p.pads[1],
          static_cast<int64_t>(request) * p.request_bytes};
}

// The bytes of limb 0 at one tap of a window; null where it lies in the padding.
__device__ __forceinline__ const uint8_t* PixelAt(const RingConv& p, const uint8_t* limbs, const Origin& origin,
                                                  int32_t tap_row, int32_t tap_column) {
  const int32_t row = origin.row + tap_row * p.dilations[0];
  const int32_t column = origin.column + tap_column * p.dilations[1];
  // As unsigned, what is negative is too large.
  if (static_cast<uint32_t>(row) >= static_cast<uint32_t>(p.in_height) ||
      static_cast<uint32_t>(column) >= static_cast<uint32_t>(p.in_width)) {
    return nullptr;
  }
  return limbs + origin.base + static_cast<int64_t>(row) * p.num_limbs * p.plane_bytes +
         static_cast<int64_t>(column) * p.pixel_bytes;
}

// Four elements that lie side by side, from four bytes of each limb; all limbs of the padding are its byte, and there is
// more than one only where that is 0.
__device__ __forceinline__ void LoadElements(const RingConv& p, const uint8_t* pixel, int32_t channel,
                                             uint32_t (&elements)[4]) {
  elements[0] = elements[1] = elements[2] = elements[3] = 0;
  for (int32_t limb = 0; limb < p.num_limbs; ++limb) {
    const uint32_t bytes = pixel == nullptr
                               ? p.padding
                               : *reinterpret_cast<const uint32_t*>(pixel + limb * p.plane_bytes + channel);
    for (int i = 0; i < 4; ++i) {
      elements[i] |= (bytes >> (8 * i) & 0xFFU) << (8 * limb);
    }
  }
}

__device__ __forceinline__ uint32_t LoadElement(const RingConv& p, const uint8_t* pixel, int32_t channel) {
  uint32_t element = 0;
  for (int32_t limb = 0; limb < p.num_limbs; ++limb) {
    const uint32_t byte = pixel == nullptr ? p.padding & 0xFFU : pixel[limb * p.plane_bytes + channel];
    element |= byte << (8 * limb);
  }
  return element;
}

// Channels [channel, channel + 4) of one position; `channel` is a multiple of 4.
__device__ __forceinline__ void StoreWords(const RingConv& p, uint8_t* words, uint32_t position, int32_t channel,
                                           const uint32_t (&sums)[4]) {
  uint8_t* const to = words + (static_cast<int64_t>(position) * p.word_channels + channel) * p.word_bytes;
  if (p.word_bytes == 4) {
    *reinterpret_cast<uint4*>(to) = make_uint4(sums[0], sums[1], sums[2], sums[3]);
    return;
  }
  const uint32_t low = 0xFFFFFFU;
  auto* const out = reinterpret_cast<uint32_t*>(to);
  out[0] = (sums[0] & low) | sums[1] << 24;
  out[1] = (sums[1] & low) >> 8 | sums[2] << 16;
  out[2] = (sums[2] & low) >> 16 | sums[3] << 8;
}

}  // namespace shoji::accelerator
