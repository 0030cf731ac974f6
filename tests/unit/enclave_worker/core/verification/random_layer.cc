// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/enclave_worker/core/verification/random_layer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/quantization/check_bound.h"

namespace shoji::enclave {
namespace {

using kernels::ConvGeometry;
using kernels::ring::PaddedChannels;
using quantization::LinearLayer;

template <typename T, size_t kSize>
T OneOf(Random& random, const T (&choices)[kSize]) {
  return choices[random() % kSize];
}

void SetRange(Random& random, LinearLayer& layer, int max_weight) {
  const auto channels = static_cast<size_t>(layer.geometry.out_channels);
  const size_t row = layer.weights.size() / channels;
  const int64_t z = layer.input_zero_point;
  int64_t widest = 0;
  for (size_t c = 0; c < channels; ++c) {
    int64_t lo = 0;
    int64_t hi = 0;
    for (size_t i = 0; i < row; ++i) {
      const int64_t w = layer.weights[c * row + i];
      lo += std::min(-w * z, w * (255 - z));
      hi += std::max(-w * z, w * (255 - z));
    }
    layer.lo.push_back(lo);
    layer.hi.push_back(hi);
    layer.bias.push_back(Between(random, -100000, 100000));
    layer.multiplier.push_back(static_cast<float>(Between(random, 1, 1 << 20)) /
                               (4096.0F * static_cast<float>(max_weight) * static_cast<float>(row + 1)));
    widest = std::max(widest, hi - lo);
  }
  layer.ring = widest < (int64_t{1} << 24) && random() % 2 == 0 ? kernels::ring::Ring::k24 : kernels::ring::Ring::k32;
}

}  // namespace

int64_t Between(Random& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

std::vector<uint8_t> RandomBytes(Random& random, size_t size) {
  std::vector<uint8_t> out(size);
  for (uint8_t& byte : out) {
    byte = static_cast<uint8_t>(random());
  }
  return out;
}

uint64_t RandomElement(Random& random) { return random() % quantization::kCheckPrime; }

LinearLayer MakeLayer(Random& random, ConvGeometry geometry, uint8_t zero_point, int max_weight) {
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t covered =
        geometry.input[axis] + geometry.window.pads[axis] + geometry.window.pads[axis + 2] - geometry.window.Span(axis);
    geometry.output[axis] = covered < 0 ? 0 : covered / geometry.window.strides[axis] + 1;
  }
  LinearLayer layer;
  layer.name = "layer";
  layer.geometry = geometry;
  layer.input_zero_point = zero_point;
  const int64_t weights = geometry.out_channels * geometry.in_channels / geometry.group * geometry.window.kernel[0] *
                          geometry.window.kernel[1];
  for (int64_t i = 0; i < weights; ++i) {
    layer.weights.push_back(static_cast<int8_t>(Between(random, -max_weight, max_weight)));
  }
  SetRange(random, layer, max_weight);
  layer.output_zero_point = OneOf<uint8_t>(random, {0, 7, 128, 255});
  layer.output_min = OneOf<uint8_t>(random, {0, layer.output_zero_point});
  layer.output_max = OneOf<uint8_t>(random, {255, std::max<uint8_t>(200, layer.output_min)});
  return layer;
}

LinearLayer MakeRandomLayer(Random& random) {
  while (true) {
    ConvGeometry g;
    const uint64_t kind = random() % 8;
    const int64_t channels[] = {1, 3, 4, 10, 17, 64, 100};
    g.in_channels = OneOf(random, channels);
    g.out_channels = OneOf(random, channels);
    if (kind == 0) {  // Gemm
      g.input = {1, Between(random, 1, 5)};
    } else {
      g.input = {Between(random, 1, 9), Between(random, 1, 33)};
      g.window.kernel = {Between(random, 1, 4), Between(random, 1, 5)};
      g.window.strides = {Between(random, 1, 3), Between(random, 1, 3)};
      g.window.dilations = {Between(random, 1, 2), Between(random, 1, 3)};
      g.window.pads = {Between(random, 0, 3), Between(random, 0, 4), Between(random, 0, 3), Between(random, 0, 4)};
    }
    if (kind == 1) {  // depthwise
      g.out_channels = g.in_channels;
      g.group = g.in_channels;
    } else if (kind == 2) {  // groups, several outputs each
      g.group = OneOf<int64_t>(random, {2, 3});
      g.in_channels = g.group * Between(random, 1, 9);
      g.out_channels = g.group * Between(random, 1, 9);
    }
    LinearLayer layer = MakeLayer(random, g, OneOf<uint8_t>(random, {0, 7, 128, 255}));
    const int64_t positions = layer.geometry.output[0] * layer.geometry.output[1];
    // Plain loops take their time, so large ones are left out.
    constexpr int64_t kMaxProducts = 1 << 20;
    if (positions > 0 && positions * static_cast<int64_t>(layer.weights.size()) <= kMaxProducts) {
      return layer;
    }
  }
}

std::string Describe(const LinearLayer& layer) {
  const ConvGeometry& g = layer.geometry;
  const kernels::Window& w = g.window;
  return absl::StrCat("in ", g.in_channels, "x", g.input[0], "x", g.input[1], " out ", g.out_channels, "x", g.output[0],
                      "x", g.output[1], " group ", g.group, " kernel ", w.kernel[0], "x", w.kernel[1], " strides ",
                      w.strides[0], ",", w.strides[1], " dilations ", w.dilations[0], ",", w.dilations[1], " pads ",
                      w.pads[0], ",", w.pads[1], ",", w.pads[2], ",", w.pads[3], " zero point ",
                      int{layer.input_zero_point}, " ring ", kernels::ring::Bits(layer.ring));
}

std::vector<uint8_t> MakeActivations(Random& random, const LinearLayer& layer) {
  const size_t size = static_cast<size_t>(layer.geometry.input[0]) *
                      kernels::ring::ActivationRowBytes(layer.geometry.input[1], layer.geometry.in_channels);
  std::vector<uint8_t> q = RandomBytes(random, size);
  if (random() % 4 == 0) {
    std::fill(q.begin(), q.end(), OneOf<uint8_t>(random, {0, 255}));
  }
  return q;
}

std::span<const uint8_t> RowOfActivations(const LinearLayer& layer, std::span<const uint8_t> q, int64_t row) {
  const size_t size = kernels::ring::ActivationRowBytes(layer.geometry.input[1], layer.geometry.in_channels);
  return q.subspan(static_cast<size_t>(row) * size, size);
}

std::vector<int64_t> Accumulators(const LinearLayer& layer, std::span<const uint8_t> q) {
  const ConvGeometry& g = layer.geometry;
  return Convolve<int64_t>(layer, [&](int64_t c, int64_t h, int64_t w) {
    const auto at = static_cast<size_t>(h * g.input[1] + w) * PaddedChannels(g.in_channels) + static_cast<size_t>(c);
    return int64_t{q[at]} - layer.input_zero_point;
  });
}

}  // namespace shoji::enclave
