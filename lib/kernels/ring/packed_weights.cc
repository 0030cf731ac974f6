// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/ring/packed_weights.h"

#include <algorithm>
#include <cstring>

#include "lib/kernels/ring/layout.h"

namespace shoji::kernels::ring {
namespace {

constexpr size_t kAlignment = 64;

size_t Taps(const ConvGeometry& g) { return static_cast<size_t>(g.window.kernel[0] * g.window.kernel[1]); }

}  // namespace

PackedWeights::PackedWeights(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops,
                             size_t panel_vectors) {
  // Without groups the steps cover the padding of the input too, so that a kernel row is one run of memory.
  const size_t inputs = geometry.group == 1 ? PaddedChannels(geometry.in_channels)
                                            : static_cast<size_t>(geometry.in_channels / geometry.group);
  steps_ = inputs / ops.step_channels;
  PlacePanels(geometry, ops, panel_vectors);
  base_ = (kAlignment - reinterpret_cast<uintptr_t>(bytes_.data()) % kAlignment) % kAlignment;
  for (const Panel& panel : panels_) {
    FillPanel(geometry, weights, ops, panel);
  }
}

void PackedWeights::PlacePanels(const ConvGeometry& geometry, const Ops& ops, size_t panel_vectors) {
  const size_t groups = static_cast<size_t>(geometry.group);
  const size_t outputs = static_cast<size_t>(geometry.out_channels) / groups;
  const size_t inputs = static_cast<size_t>(geometry.in_channels) / groups;
  size_t offset = 0;
  for (size_t group = 0; group < groups; ++group) {
    for (size_t first = 0; first < outputs; first += panel_vectors * ops.lanes) {
      Panel panel;
      panel.first_channel = group * outputs + first;
      panel.channels = std::min(outputs - first, panel_vectors * ops.lanes);
      panel.vectors = (panel.channels + ops.lanes - 1) / ops.lanes;
      panel.first_input = group * inputs;
      panel.offset = offset;
      panels_.push_back(panel);
      const size_t bytes = Taps(geometry) * steps_ * panel.vectors * ops.lanes * ops.step_channels * ops.weight_bytes;
      offset += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
  }
  if (groups == 1) {
    // The padding of the output is computed with weights of zero. Vectors hold multiples of 4 channels: there is room.
    panels_.back().channels += PaddedChannels(geometry.out_channels) - outputs;
  }
  bytes_.resize(offset + kAlignment);
}

void PackedWeights::FillPanel(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops,
                              const Panel& panel) {
  const size_t taps = Taps(geometry);
  const size_t inputs = static_cast<size_t>(geometry.in_channels / geometry.group);
  const size_t panel_channels = panel.vectors * ops.lanes;
  const size_t last = std::min(panel.first_channel + panel.channels, static_cast<size_t>(geometry.out_channels));
  int8_t* out = bytes_.data() + base_ + panel.offset;
  for (size_t o = panel.first_channel; o < last; ++o) {
    for (size_t i = 0; i < inputs; ++i) {
      const int8_t* from = weights.data() + (o * inputs + i) * taps;
      for (size_t tap = 0; tap < taps; ++tap) {
        const size_t step = tap * steps_ + i / ops.step_channels;
        const size_t at =
            (step * panel_channels + (o - panel.first_channel)) * ops.step_channels + i % ops.step_channels;
        if (ops.weight_bytes == 1) {
          out[at] = from[tap];
        } else {
          const int16_t wide = from[tap];
          std::memcpy(out + at * sizeof(wide), &wide, sizeof(wide));
        }
      }
    }
  }
}

}  // namespace shoji::kernels::ring
