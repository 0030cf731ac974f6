// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A quantized linear layer: all the numbers that fix its result to the bit, wherever it is computed.
//
//   x' = q - input_zero_point                                       q: the input's byte; x' = 0 at padded positions
//   a  = sum over the window of weights * x'                        an integer in [lo, hi] of its channel
//   y  = float32(a + bias) * multiplier                             float32, round to nearest even, nothing contracted
//   quantized output:  clamp(round_half_even(y) + output_zero_point, output_min, output_max)
//   float output:      y
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::quantization {

struct LinearLayer {
  std::string name;                // of the Conv, Gemm or MatMul in the model's graph
  kernels::ConvGeometry geometry;  // batch 1; see lib/kernels/ring/layout.h for Gemm and MatMul
  std::vector<int8_t> weights;     // [out_channels][in_channels / group][kernel height][kernel width]
  uint8_t input_zero_point = 0;

  // One an output channel.
  std::vector<int64_t> lo;  // exact extremes of a over all inputs; lo <= 0 <= hi
  std::vector<int64_t> hi;
  std::vector<int64_t> bias;  // in units of the accumulator; |bias| < 2^40
  std::vector<float> multiplier;

  // The smallest ring in which every channel has hi - lo < 2^bits.
  kernels::ring::Ring ring = kernels::ring::Ring::k32;

  bool quantized_output = true;
  uint8_t output_zero_point = 0;
  uint8_t output_min = 0;  // an activation that only clamps (Relu, Clip) is in here
  uint8_t output_max = 255;
};

// Of one output channel.
int64_t SumOfWeights(const LinearLayer& layer, size_t channel);

}  // namespace shoji::quantization
