// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Linear layers over Z_2^24 and Z_2^32 on a CUDA device: W * u mod 2^k, bit for bit what lib/kernels/ring computes.
// Tensors lie on the device as lib/kernels/ring/layout.h says, several requests one after the other. Whoever fills a
// RingConv checks sizes; kernels trust them and read and write nothing outside of what it describes.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime.h>

namespace shoji::accelerator {

// Divides numbers below 2^31 by a fixed one with one multiplication (Granlund and Montgomery, 1994).
struct Divisor {
  explicit Divisor(uint32_t divisor = 1);
  uint32_t value;
  uint32_t multiplier;
  uint32_t shift;
};

enum class RingKernel : uint8_t {
  kTensorCore,  // implicit GEMM on int8 matrix instructions: dense layers, and groups of multiples of 4 channels
  kVector,      // few positions of a 1x1 layer: reads each weight once, for all limbs
  kDepthwise,   // one input and one output channel a group
  kDirect,      // any shape
};

// One layer and the requests of one run. Positions are counted over all requests: number m is position m % P of request
// m / P, in rows, where P = out_height * out_width.
struct RingConv {
  RingKernel kernel = RingKernel::kDirect;
  int32_t num_limbs = 1;
  int32_t word_bytes = 4;  // 3 or 4
  uint32_t padding = 0;    // the padding's byte, four times

  int32_t in_height = 1;
  int32_t in_width = 1;
  int32_t pixel_bytes = 4;    // channels of one limb of one input position, padded to a multiple of 4
  int64_t plane_bytes = 64;   // one limb of one input row
  int64_t request_bytes = 0;  // the input of one request

  int32_t kernel_height = 1;
  int32_t kernel_width = 1;
  int32_t strides[2] = {1, 1};
  int32_t dilations[2] = {1, 1};
  int32_t pads[2] = {0, 0};  // top, left

  int32_t groups = 1;
  int32_t in_channels = 1;    // of a group
  int32_t out_channels = 1;   // of a group
  int32_t word_channels = 4;  // of one output position, padded to a multiple of 4
  int32_t num_positions = 1;  // of all requests; below 2^31
  Divisor out_width;
  Divisor positions;       // P
  Divisor kernel_columns;  // kernel_width

  // Of kTensorCore and kVector: weights are int8 [group][out_channel][row_bytes], a row is [tap][tap_bytes] and zeros
  // up to a multiple of 64. tap_bytes is a multiple of 4.
  Divisor tap_bytes;
  int32_t row_bytes = 64;
  // Of the others: int8 [tap][in_channel][word_channels], padding zero.
};

constexpr int32_t kRingRowBytes = 64;       // weight rows are padded to a multiple of this
constexpr int32_t kRingTileChannels = 64;   // the least that a tile of kTensorCore has
constexpr int32_t kMaxVectorPositions = 4;  // that kVector takes

// Positions of one step of a kernel: a launch begins at a multiple of it.
int32_t PositionsPerStep(const RingConv& conv, int num_multiprocessors);

// Launches the kernel on positions [begin, end) of `conv`. Returns the launch's error.
cudaError_t LaunchRingConv(const RingConv& conv, int num_multiprocessors, int32_t begin, int32_t end,
                           const uint8_t* limbs, const int8_t* weights, uint8_t* words, cudaStream_t stream);

}  // namespace shoji::accelerator
