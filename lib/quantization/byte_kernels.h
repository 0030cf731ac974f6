// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Loops over bytes: everything between two linear layers. One source (byte_loops.inc) compiled for several instruction
// sets; all give the same bits, which are those of plain loops over float32 with round half to even and no contraction.
// Branch-free on values and free of look-ups whose address depends on one. Private to this folder and its tests.
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
  const int32_t* offset = nullptr;  // bias - zero point * sum of weights, modulo 2^32
  const float* multiplier = nullptr;
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

struct WeightSteps {
  double factor = 1;
  double step = 1;
};

struct WeightSums {
  int64_t positive = 0;
  int64_t negative = 0;
};

// Arrays of `count` elements do not overlap.
struct ByteKernels {
  // y = requantize(int32(words + offset)): for layers whose sums fit 32 bits with their bias.
  void (*requantize_words)(const uint32_t* words, size_t count, const ChannelFactors& factors, const ByteOutput& output,
                           uint8_t* y);
  // y = float32(int32(words + offset)) * multiplier
  void (*scale_words)(const uint32_t* words, size_t count, const ChannelFactors& factors, float* y);
  // Rows [begin, end) of the output; `x` and `y` are whole. A window without any cell of the input gives 0.
  void (*max_pool)(const PoolLoop& loop, int64_t begin, int64_t end, const uint8_t* x, uint8_t* y);

  // Between bytes and float32 numbers, each with its scale: y = (x - zero_point) * scale, and
  // y = round(x * inverse_scale) + zero_point, clamped; what is no number becomes the least.
  void (*widen)(const uint8_t* x, size_t count, const float* scale, uint8_t zero_point, float* y);
  void (*narrow)(const float* x, size_t count, const float* inverse_scale, const ByteOutput& output, uint8_t* y);
  // From [channels][pixels] to [pixels][padded channels], with one scale a channel, and back.
  void (*quantize_planes)(const float* x, size_t pixels, size_t channels, const float* inverse_scale,
                          uint8_t zero_point, uint8_t* y);
  void (*dequantize_planes)(const uint8_t* x, size_t pixels, size_t channels, const float* scale, uint8_t zero_point,
                            float* y);

  // On float32 numbers, one at a time.
  void (*add)(const float* a, const float* b, size_t count, float* y);
  void (*subtract)(const float* a, const float* b, size_t count, float* y);
  void (*multiply)(const float* a, const float* b, size_t count, float* y);
  // y = x * factor + shift
  void (*affine)(const float* x, size_t count, const float* factor, const float* shift, float* y);
  // y = x < 0 ? alpha * x : x
  void (*leaky)(const float* x, size_t count, float alpha, float* y);
  // y = min(max(x, low), high); what is no number becomes `low`.
  void (*clip)(const float* x, size_t count, float low, float high, float* y);
  // y = min(max(alpha * x + beta, 0), 1)
  void (*hard_sigmoid)(const float* x, size_t count, float alpha, float beta, float* y);
  // y = 1 / (1 + exp(-factor * x)), to a few units in the last place.
  void (*sigmoid)(const float* x, size_t count, float factor, float* y);
  // sums[c] += x[c]
  void (*accumulate)(const float* x, size_t count, float* sums);

  // Weights, in double: x[i] * factor, and times scales[i] where there are scales (null: none).
  // The largest magnitude; not finite where one of them is not.
  double (*largest_weight)(const float* x, const float* scales, size_t count, double factor);
  // y = round(weight / step), half to even, clamped to -127 .. 127; the weights are finite and step > 0.
  void (*round_weights)(const float* x, const float* scales, size_t count, const WeightSteps& steps, int8_t* y);
  // The sums of the positive and of the negative ones.
  WeightSums (*sum_weights)(const int8_t* x, size_t count);
};

// For what this CPU can run of `isa`.
const ByteKernels& ByteKernelsFor(kernels::ring::Isa isa);

extern const ByteKernels kPortableByteKernels;
extern const ByteKernels kAvx2ByteKernels;
extern const ByteKernels kAvx512ByteKernels;

}  // namespace shoji::quantization
