// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Quantized layers of odd shapes, and what they compute, by plain loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "lib/quantization/linear_layer.h"

namespace shoji::enclave {

using Random = std::mt19937_64;
// From [low, high].
int64_t Between(Random& random, int64_t low, int64_t high);
std::vector<uint8_t> RandomBytes(Random& random, size_t size);
// 0 ... p - 1, by a seed.
uint64_t RandomElement(Random& random);

// Fills in lo, hi, ring, bias, multiplier and the output's range. The geometry's output is computed from the rest.
quantization::LinearLayer MakeLayer(Random& random, kernels::ConvGeometry geometry, uint8_t zero_point,
                                    int max_weight = 127);
// Any stride, pad, dilation, group, size; sometimes a Gemm, a depthwise layer, or a kernel larger than the input.
quantization::LinearLayer MakeRandomLayer(Random& random);
std::string Describe(const quantization::LinearLayer& layer);

// Activations as lib/kernels/ring/layout.h lays them out; anything in the padding channels.
std::vector<uint8_t> MakeActivations(Random& random, const quantization::LinearLayer& layer);
std::span<const uint8_t> RowOfActivations(const quantization::LinearLayer& layer, std::span<const uint8_t> q,
                                          int64_t row);

// Sum over the window of weights * x(input channel, row, column), for every [output row][output column][output
// channel]; x is 0 at padded positions. With `X` = uint32_t arithmetic wraps, which is the ring's.
template <typename X, typename Get>
std::vector<X> Convolve(const quantization::LinearLayer& layer, const Get& x) {
  const kernels::ConvGeometry& g = layer.geometry;
  const kernels::Window& window = g.window;
  const int64_t inputs = g.in_channels / g.group;
  const int64_t outputs = g.out_channels / g.group;
  std::vector<X> out;
  for (int64_t h = 0; h < g.output[0]; ++h) {
    for (int64_t w = 0; w < g.output[1]; ++w) {
      for (int64_t c = 0; c < g.out_channels; ++c) {
        X sum = 0;
        for (int64_t i = 0; i < inputs; ++i) {
          for (int64_t a = 0; a < window.kernel[0]; ++a) {
            for (int64_t b = 0; b < window.kernel[1]; ++b) {
              const int64_t y = h * window.strides[0] - window.pads[0] + a * window.dilations[0];
              const int64_t z = w * window.strides[1] - window.pads[1] + b * window.dilations[1];
              if (y >= 0 && y < g.input[0] && z >= 0 && z < g.input[1]) {
                const size_t weight =
                    static_cast<size_t>(((c * inputs + i) * window.kernel[0] + a) * window.kernel[1] + b);
                sum += static_cast<X>(layer.weights[weight]) * x(c / outputs * inputs + i, y, z);
              }
            }
          }
        }
        out.push_back(sum);
      }
    }
  }
  return out;
}

// The exact accumulators for activations q.
std::vector<int64_t> Accumulators(const quantization::LinearLayer& layer, std::span<const uint8_t> q);

}  // namespace shoji::enclave
