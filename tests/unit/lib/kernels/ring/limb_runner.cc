// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/lib/kernels/ring/limb_runner.h"

#include "lib/base/status_macros.h"

namespace shoji::kernels::ring {
namespace {

// The padding made part of the input, so that layers need none.
ConvGeometry Padded(const ConvGeometry& geometry) {
  ConvGeometry g = geometry;
  for (size_t axis = 0; axis < 2; ++axis) {
    g.input[axis] += g.window.pads[axis] + g.window.pads[axis + 2];
  }
  g.window.pads = {};
  return g;
}

std::vector<uint8_t> PaddedLimb(const ConvGeometry& geometry, const LinearInput& input, size_t limb) {
  const ConvGeometry padded = Padded(geometry);
  std::vector<uint8_t> out(static_cast<size_t>(padded.input[0] * padded.input[1] * padded.in_channels), input.padding);
  for (int64_t h = 0; h < geometry.input[0]; ++h) {
    for (int64_t w = 0; w < geometry.input[1]; ++w) {
      for (int64_t c = 0; c < geometry.in_channels; ++c) {
        const int64_t at =
            ((h + geometry.window.pads[0]) * padded.input[1] + w + geometry.window.pads[1]) * geometry.in_channels + c;
        out[static_cast<size_t>(at)] =
            input.limbs[static_cast<size_t>(h) * LimbRowBytes(geometry, input.num_limbs) +
                        limb * PlaneBytes(geometry.input[1], geometry.in_channels) +
                        static_cast<size_t>(w) * PaddedChannels(geometry.in_channels) + static_cast<size_t>(c)];
      }
    }
  }
  return out;
}

// The terms of one output: [in channel][kernel row][kernel column], as the weights are.
std::vector<uint8_t> Terms(const ConvGeometry& g, std::span<const uint8_t> x, int64_t h, int64_t w, int64_t group) {
  std::vector<uint8_t> out;
  const int64_t inputs = g.in_channels / g.group;
  for (int64_t c = group * inputs; c < (group + 1) * inputs; ++c) {
    for (int64_t kh = 0; kh < g.window.kernel[0]; ++kh) {
      for (int64_t kw = 0; kw < g.window.kernel[1]; ++kw) {
        const int64_t row = h * g.window.strides[0] + kh * g.window.dilations[0];
        const int64_t column = w * g.window.strides[1] + kw * g.window.dilations[1];
        out.push_back(x[static_cast<size_t>((row * g.input[1] + column) * g.in_channels + c)]);
      }
    }
  }
  return out;
}

}  // namespace

KernelRunner LimbRunner(const BytesLayer& layer) {
  return [layer](const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring,
                 const LinearInput& input) -> absl::StatusOr<std::vector<uint8_t>> {
    std::vector<uint32_t> sums(static_cast<size_t>(geometry.output[0] * geometry.output[1] * geometry.out_channels));
    for (size_t limb = 0; limb < input.num_limbs; ++limb) {
      ASSIGN_OR_RETURN(const std::vector<int32_t> part,
                       layer(Padded(geometry), weights, PaddedLimb(geometry, input, limb)));
      for (size_t i = 0; i < sums.size(); ++i) {
        sums[i] += static_cast<uint32_t>(part[i]) << (8 * limb);
      }
    }
    std::vector<uint8_t> words;
    for (size_t i = 0; i < sums.size(); ++i) {
      for (size_t byte = 0; byte < WordBytes(ring); ++byte) {
        words.push_back(static_cast<uint8_t>(sums[i] >> (8 * byte)));
      }
      const auto channels = static_cast<size_t>(geometry.out_channels);
      if (i % channels == channels - 1) {
        words.resize(words.size() + (PaddedChannels(geometry.out_channels) - channels) * WordBytes(ring));
      }
    }
    return words;
  };
}

KernelRunner LimbRunner(int32_t (*sum)(std::span<const uint8_t> x, std::span<const int8_t> w)) {
  return LimbRunner([sum](const ConvGeometry& g, std::span<const int8_t> weights,
                          std::span<const uint8_t> x) -> absl::StatusOr<std::vector<int32_t>> {
    std::vector<int32_t> out;
    const size_t terms = weights.size() / static_cast<size_t>(g.out_channels);
    for (int64_t h = 0; h < g.output[0]; ++h) {
      for (int64_t w = 0; w < g.output[1]; ++w) {
        std::vector<uint8_t> x_terms;
        for (int64_t o = 0; o < g.out_channels; ++o) {
          const int64_t per_group = g.out_channels / g.group;
          if (o % per_group == 0) {
            x_terms = Terms(g, x, h, w, o / per_group);
          }
          out.push_back(sum(x_terms, weights.subspan(static_cast<size_t>(o) * terms, terms)));
        }
      }
    }
    return out;
  });
}

}  // namespace shoji::kernels::ring
