// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Loops over bytes: everything between two linear layers. One source (byte_loops.inc) compiled for several instruction
// sets; all give the same bits, which are those of plain loops over float32 with round half to even and no contraction.
// Branch-free on values and free of look-ups whose address depends on one: a table of 256 entries is read whole, in
// registers or by a scan. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoji::kernels::ring {
// lib/kernels/ring/linear.h, which the files of single instruction sets must not include: the linker might keep their
// copies of its inline functions for every CPU.
enum class Isa : uint8_t;
}  // namespace shoji::kernels::ring

namespace shoji::quantization {

// What a kernel clamps to and what stands for zero.
struct ByteOutput {
  uint8_t zero_point = 0;
  uint8_t min = 0;
  uint8_t max = 255;
};

// One element a channel, repeated so that short loops become long: element i belongs to i % period.
struct ChannelFactors {
  size_t period = 1;
  const int32_t* offset = nullptr;  // RequantizeWords: bias - zero point * sum of weights, modulo 2^32
  const float* multiplier = nullptr;
  const float* shift = nullptr;  // Affine
};

// y[i][j] for `outer` x `inner` elements; each operand advances by its strides (inner ones are 0 or 1).
struct PairLoop {
  size_t outer = 1;
  size_t inner = 1;
  size_t a_outer = 0;
  size_t a_inner = 1;
  size_t b_outer = 0;
  size_t b_inner = 1;
};
struct PairFactors {
  int32_t a_zero_point = 0;
  int32_t b_zero_point = 0;
  float a_multiplier = 1;  // Add: y = a' * a_multiplier + b' * b_multiplier
  float b_multiplier = 1;  // Multiply: y = (a' * b') * a_multiplier
};

// Activations [height][width][channels], channels padded.
struct PoolLoop {
  int64_t input[2] = {1, 1};
  int64_t output[2] = {1, 1};
  int64_t kernel[2] = {1, 1};
  int64_t strides[2] = {1, 1};
  int64_t dilations[2] = {1, 1};
  int64_t pads[2] = {0, 0};  // top, left
  int64_t channels = 4;
};

struct ByteKernels {
  // y = requantize(int32(words + offset)): for layers whose sums fit 32 bits with their bias.
  void (*requantize_words)(const uint32_t* words, size_t count, const ChannelFactors& factors, const ByteOutput& output,
                           uint8_t* y);
  // y = round((x - zero_point) * multiplier + shift)
  void (*affine)(const uint8_t* x, size_t count, int32_t zero_point, const ChannelFactors& factors,
                 const ByteOutput& output, uint8_t* y);
  // y = table[x]; `y` may be `x`.
  void (*look_up)(const uint8_t* x, size_t count, const uint8_t* table, uint8_t* y);
  void (*add)(const PairLoop& loop, const PairFactors& factors, const uint8_t* a, const uint8_t* b,
              const ByteOutput& output, uint8_t* y);
  void (*multiply)(const PairLoop& loop, const PairFactors& factors, const uint8_t* a, const uint8_t* b,
                   const ByteOutput& output, uint8_t* y);
  // Rows [begin, end) of the output; `x` and `y` are whole. A window without any cell of the input gives 0.
  void (*max_pool)(const PoolLoop& loop, int64_t begin, int64_t end, const uint8_t* x, uint8_t* y);
  // sums[c] += x[i][c] over `pixels` of `channels`.
  void (*add_pixels)(const uint8_t* x, size_t pixels, size_t channels, int32_t* sums);
  // y = round((sums - offset) * multiplier)
  void (*average)(const int32_t* sums, size_t count, int32_t offset, float multiplier, const ByteOutput& output,
                  uint8_t* y);
  // y = round(x * inverse_scale) + zero_point in 0 .. 255; what is no number becomes 0. Rows: x and y are [count].
  // Planes: x is [channels][pixels], y [pixels][padded channels].
  void (*quantize_row)(const float* x, size_t count, float inverse_scale, uint8_t zero_point, uint8_t* y);
  void (*quantize_planes)(const float* x, size_t pixels, size_t channels, float inverse_scale, uint8_t zero_point,
                          uint8_t* y);
  // The way back: y = (x - zero_point) * scale.
  void (*dequantize_row)(const uint8_t* x, size_t count, float scale, uint8_t zero_point, float* y);
  void (*dequantize_planes)(const uint8_t* x, size_t pixels, size_t channels, float scale, uint8_t zero_point,
                            float* y);
};

// For what this CPU can run of `isa`.
const ByteKernels& ByteKernelsFor(kernels::ring::Isa isa);

extern const ByteKernels kPortableByteKernels;
extern const ByteKernels kAvx2ByteKernels;
extern const ByteKernels kAvx512ByteKernels;

}  // namespace shoji::quantization
