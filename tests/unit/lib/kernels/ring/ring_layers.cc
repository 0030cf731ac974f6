// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/kernels/ring/ring_layers.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace shoji::kernels::ring {

RandomLayer::RandomLayer(const ConvGeometry& g, size_t limb_count, unsigned seed) : geometry(g), num_limbs(limb_count) {
  std::mt19937 generator(seed);
  weights.resize(
      static_cast<size_t>(g.out_channels * g.in_channels / g.group * g.window.kernel[0] * g.window.kernel[1]));
  std::generate(weights.begin(), weights.end(), [&] { return static_cast<int8_t>(generator() >> 24); });
  limbs.resize(LimbBytes(g, num_limbs));
  std::generate(limbs.begin(), limbs.end(), [&] { return static_cast<uint8_t>(generator() >> 24); });
}

ConvGeometry MakeGeometry(int64_t in_channels, int64_t out_channels, int64_t group, Extents input,
                          const Window& window) {
  Extents output = {};
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t padded = input[axis] + window.pads[axis] + window.pads[axis + 2];
    output[axis] = (padded - window.Span(axis)) / window.strides[axis] + 1;
  }
  const auto geometry = MakeConvGeometry(Shape({1, in_channels, input[0], input[1]}),
                                         Shape({out_channels, in_channels / group, window.kernel[0], window.kernel[1]}),
                                         Shape({1, out_channels, output[0], output[1]}), group, window);
  EXPECT_TRUE(geometry.ok()) << geometry.status();
  return *geometry;
}

ConvGeometry RandomGeometry(std::mt19937& generator) {
  const auto up_to = [&](int64_t most) { return std::uniform_int_distribution<int64_t>(1, most)(generator); };
  const auto below = [&](int64_t bound) { return up_to(bound) - 1; };
  Window window;
  Extents input = {};
  for (size_t axis = 0; axis < 2; ++axis) {
    window.kernel[axis] = up_to(5);
    window.strides[axis] = up_to(3);
    window.dilations[axis] = up_to(3);
    window.pads[axis] = below(5);
    window.pads[axis + 2] = below(5);
    input[axis] = up_to(axis == 0 ? 9 : 40);
    const int64_t lacking = window.Span(axis) - input[axis] - window.pads[axis] - window.pads[axis + 2];
    input[axis] += std::max<int64_t>(lacking, 0);
  }
  switch (below(4)) {
    case 0: {  // depthwise
      const int64_t channels = up_to(70);
      return MakeGeometry(channels, channels, channels, input, window);
    }
    case 1: {
      const int64_t group = up_to(4);
      return MakeGeometry(group * up_to(9), group * up_to(40), group, input, window);
    }
    default:
      return MakeGeometry(up_to(40), up_to(80), 1, input, window);
  }
}

std::string Describe(const ConvGeometry& g) {
  const auto pair = [](int64_t a, int64_t b) { return std::to_string(a) + "x" + std::to_string(b); };
  const Window& w = g.window;
  return std::to_string(g.in_channels) + " channels to " + std::to_string(g.out_channels) + " in " +
         std::to_string(g.group) + " groups, input " + pair(g.input[0], g.input[1]) + ", kernel " +
         pair(w.kernel[0], w.kernel[1]) + ", strides " + pair(w.strides[0], w.strides[1]) + ", dilations " +
         pair(w.dilations[0], w.dilations[1]) + ", pads " + pair(w.pads[0], w.pads[1]) + " and " +
         pair(w.pads[2], w.pads[3]);
}

std::vector<uint8_t> Reference(const ConvGeometry& g, std::span<const int8_t> weights, Ring ring,
                               const LinearInput& input) {
  const int64_t in_group = g.in_channels / g.group;
  const int64_t out_group = g.out_channels / g.group;
  const auto element = [&](int64_t channel, int64_t h, int64_t w) {
    if (h < 0 || h >= g.input[0] || w < 0 || w >= g.input[1]) {
      return int64_t{input.padding};
    }
    int64_t value = 0;
    for (size_t limb = input.num_limbs; limb-- > 0;) {
      const size_t at = static_cast<size_t>(h) * LimbRowBytes(g, input.num_limbs) +
                        limb * PlaneBytes(g.input[1], g.in_channels) +
                        static_cast<size_t>(w) * PaddedChannels(g.in_channels) + static_cast<size_t>(channel);
      value = value * 256 + input.limbs[at];
    }
    return value;
  };
  std::vector<uint8_t> words(WordsBytes(g, ring), 0);
  for (int64_t o = 0; o < g.out_channels; ++o) {
    for (int64_t h = 0; h < g.output[0]; ++h) {
      for (int64_t w = 0; w < g.output[1]; ++w) {
        int64_t sum = 0;
        const int8_t* weight = weights.data() + o * in_group * g.window.kernel[0] * g.window.kernel[1];
        for (int64_t i = 0; i < in_group; ++i) {
          for (int64_t kh = 0; kh < g.window.kernel[0]; ++kh) {
            for (int64_t kw = 0; kw < g.window.kernel[1]; ++kw) {
              sum += *weight++ * element(o / out_group * in_group + i,
                                         h * g.window.strides[0] - g.window.pads[0] + kh * g.window.dilations[0],
                                         w * g.window.strides[1] - g.window.pads[1] + kw * g.window.dilations[1]);
            }
          }
        }
        const size_t at =
            (static_cast<size_t>(h * g.output[1] + w) * PaddedChannels(g.out_channels) + static_cast<size_t>(o)) *
            WordBytes(ring);
        for (size_t byte = 0; byte < WordBytes(ring); ++byte) {
          words[at + byte] = static_cast<uint8_t>(static_cast<uint64_t>(sum) >> (8 * byte));
        }
      }
    }
  }
  return words;
}

std::vector<uint8_t> RunWhole(Isa isa, const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring,
                              const LinearInput& input, int num_threads) {
  const auto kernel = LinearKernel::Create(geometry, weights, isa, num_threads);
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  std::vector<uint8_t> words(WordsBytes(geometry, ring), 0xA5);
  std::vector<uint8_t> scratch((*kernel)->scratch_bytes(input.num_limbs), 0x5A);
  (*kernel)->Run(ring, input, {0, geometry.output[0]}, words, scratch);
  return words;
}

}  // namespace shoji::kernels::ring
