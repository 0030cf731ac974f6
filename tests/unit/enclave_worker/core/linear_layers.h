// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Quantized linear layers with seeded weights, for tests of the core.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "lib/quantization/linear_layer.h"

namespace shoji::testing {

// A 3x3 convolution with padding 1, or, where `size` is 1, a dense layer; float output.
inline quantization::LinearLayer SeededLayer(int64_t in_channels, int64_t out_channels, int64_t size, uint32_t seed) {
  std::mt19937 random(seed);
  quantization::LinearLayer layer;
  layer.name = "layer" + std::to_string(seed);
  const int64_t kernel = size == 1 ? 1 : 3;
  layer.geometry.in_channels = in_channels;
  layer.geometry.out_channels = out_channels;
  layer.geometry.input = {size, size};
  layer.geometry.output = {size, size};
  layer.geometry.window.kernel = {kernel, kernel};
  const int64_t pad = (kernel - 1) / 2;
  layer.geometry.window.pads = {pad, pad, pad, pad};
  layer.input_zero_point = 7;
  const auto per_channel = static_cast<size_t>(in_channels * kernel * kernel);
  for (int64_t c = 0; c < out_channels; ++c) {
    int64_t lo = 0;
    int64_t hi = 0;
    for (size_t i = 0; i < per_channel; ++i) {
      const auto weight = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
      layer.weights.push_back(weight);
      lo += weight > 0 ? -7 * weight : 248 * weight;
      hi += weight > 0 ? 248 * weight : -7 * weight;
    }
    layer.lo.push_back(lo);
    layer.hi.push_back(hi);
    layer.bias.push_back(static_cast<int64_t>(random() % 1000) - 500);
    layer.multiplier.push_back(0.001F);
  }
  layer.ring = kernels::ring::Ring::k24;
  layer.quantized_output = false;
  return layer;
}

}  // namespace shoji::testing
