// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/quantization/naive_linear.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace shoji::quantization {
namespace {

int64_t InputAt(const LinearLayer& layer, std::span<const uint8_t> input, int64_t channel, int64_t row,
                int64_t column) {
  const kernels::ConvGeometry& g = layer.geometry;
  if (row < 0 || row >= g.input[0] || column < 0 || column >= g.input[1]) {
    return 0;
  }
  const int64_t padded = (g.in_channels + 3) / 4 * 4;
  return int64_t{input[static_cast<size_t>((row * g.input[1] + column) * padded + channel)]} -
         int64_t{layer.input_zero_point};
}

int64_t SumAt(const LinearLayer& layer, std::span<const uint8_t> input, int64_t out, int64_t y, int64_t x) {
  const kernels::ConvGeometry& g = layer.geometry;
  const int64_t in_per_group = g.in_channels / g.group;
  const int64_t first = out / (g.out_channels / g.group) * in_per_group;
  int64_t sum = layer.bias[static_cast<size_t>(out)];
  size_t at = static_cast<size_t>(out * in_per_group * g.window.kernel[0] * g.window.kernel[1]);
  for (int64_t c = 0; c < in_per_group; ++c) {
    for (int64_t i = 0; i < g.window.kernel[0]; ++i) {
      for (int64_t j = 0; j < g.window.kernel[1]; ++j) {
        const int64_t row = y * g.window.strides[0] - g.window.pads[0] + i * g.window.dilations[0];
        const int64_t column = x * g.window.strides[1] - g.window.pads[1] + j * g.window.dilations[1];
        sum += int64_t{layer.weights[at++]} * InputAt(layer, input, first + c, row, column);
      }
    }
  }
  return sum;
}

std::vector<uint8_t> Pooled(const kernels::PoolGeometry& g, std::span<const uint8_t> x) {
  std::vector<uint8_t> out;
  for (int64_t c = 0; c < g.channels; ++c) {
    for (int64_t row = 0; row < g.output[0]; ++row) {
      for (int64_t column = 0; column < g.output[1]; ++column) {
        uint8_t most = 0;
        for (int64_t i = 0; i < g.window.kernel[0]; ++i) {
          for (int64_t j = 0; j < g.window.kernel[1]; ++j) {
            const int64_t in_row = row * g.window.strides[0] - g.window.pads[0] + i * g.window.dilations[0];
            const int64_t in_column = column * g.window.strides[1] - g.window.pads[1] + j * g.window.dilations[1];
            if (in_row >= 0 && in_row < g.input[0] && in_column >= 0 && in_column < g.input[1]) {
              most = std::max(most, x[static_cast<size_t>((c * g.input[0] + in_row) * g.input[1] + in_column)]);
            }
          }
        }
        out.push_back(most);
      }
    }
  }
  return out;
}

}  // namespace

std::vector<int64_t> NaiveSums(const LinearLayer& layer, std::span<const uint8_t> input) {
  std::vector<int64_t> sums;
  for (int64_t out = 0; out < layer.geometry.out_channels; ++out) {
    for (int64_t y = 0; y < layer.geometry.output[0]; ++y) {
      for (int64_t x = 0; x < layer.geometry.output[1]; ++x) {
        sums.push_back(SumAt(layer, input, out, y, x));
      }
    }
  }
  return sums;
}

std::vector<float> NaiveFloats(const LinearLayer& layer, std::span<const uint8_t> input) {
  const std::vector<int64_t> sums = NaiveSums(layer, input);
  const size_t plane = sums.size() / layer.bias.size();
  std::vector<float> out;
  for (size_t i = 0; i < sums.size(); ++i) {
    out.push_back(static_cast<float>(sums[i]) * layer.multiplier[i / plane]);
  }
  return out;
}

std::vector<uint8_t> NaiveBytes(const LinearLayer& layer, const std::optional<kernels::PoolGeometry>& max_pool,
                                std::span<const uint8_t> input) {
  std::vector<uint8_t> out;
  for (const float y : NaiveFloats(layer, input)) {
    const double rounded = std::nearbyint(static_cast<double>(y)) + layer.output_zero_point;
    out.push_back(static_cast<uint8_t>(
        std::min(std::max<double>(rounded, layer.output_min), static_cast<double>(layer.output_max))));
  }
  return max_pool.has_value() ? Pooled(*max_pool, out) : out;
}

}  // namespace shoji::quantization
