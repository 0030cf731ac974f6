// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/ring/packed_weights.h"

#include <algorithm>
#include <cstring>

#include "lib/base/bands.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::kernels::ring {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kWeightsWorthAThread = 1'000'000;
// Steps of all the panel's channels that are written together: they stay in the first-level cache.
constexpr size_t kStepsTogether = 16;

size_t Taps(const ConvGeometry& g) { return static_cast<size_t>(g.window.kernel[0] * g.window.kernel[1]); }

}  // namespace

PackedWeights::PackedWeights(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops,
                             const Options& options) {
  // Without groups the steps cover the padding of the input too, so that a kernel row is one run of memory.
  const size_t inputs = geometry.group == 1 ? PaddedChannels(geometry.in_channels)
                                            : static_cast<size_t>(geometry.in_channels / geometry.group);
  steps_ = inputs / ops.step_channels;
  PlacePanels(geometry, ops, options.panel_vectors);
  const auto num_panels = static_cast<int64_t>(panels_.size());
  const size_t num_bands =
      NumBands(num_panels, weights.size() / panels_.size(), options.num_threads, kWeightsWorthAThread);
  ForEachBand(num_panels, num_bands, [&](size_t /*band*/, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      FillPanel(geometry, weights, ops, panels_[static_cast<size_t>(i)]);
    }
  });
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
      const size_t bytes = Taps(geometry) * steps_ * panel.vectors * ops.lanes * ops.step_channels * ops.weight_bytes;
      panel.bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
      offset += panel.bytes;
      panels_.push_back(panel);
    }
  }
  if (groups == 1) {
    // The padding of the output is computed with weights of zero. Vectors hold multiples of 4 channels: there is room.
    panels_.back().channels += PaddedChannels(geometry.out_channels) - outputs;
  }
  bytes_ = Tensor::Uninitialized(DataType::kInt8, Shape({static_cast<int64_t>(offset)}));
}

void PackedWeights::FillPanel(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops,
                              const Panel& panel) {
  std::memset(bytes_.mutable_values<int8_t>().data() + panel.offset, 0, panel.bytes);
  if (Taps(geometry) == 1 && ops.weight_bytes == 1) {
    CopySteps(geometry, weights, ops, panel);
    return;
  }
  const size_t taps = Taps(geometry);
  const size_t inputs = static_cast<size_t>(geometry.in_channels / geometry.group);
  const size_t panel_channels = panel.vectors * ops.lanes;
  const size_t last = std::min(panel.first_channel + panel.channels, static_cast<size_t>(geometry.out_channels));
  int8_t* out = bytes_.mutable_values<int8_t>().data() + panel.offset;
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

// FillPanel where a step's channels lie side by side in `weights` too.
void PackedWeights::CopySteps(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops,
                              const Panel& panel) {
  const size_t inputs = static_cast<size_t>(geometry.in_channels / geometry.group);
  const size_t panel_channels = panel.vectors * ops.lanes;
  const size_t last = std::min(panel.first_channel + panel.channels, static_cast<size_t>(geometry.out_channels));
  int8_t* const out = bytes_.mutable_values<int8_t>().data() + panel.offset;
  for (size_t first = 0; first < steps_; first += kStepsTogether) {
    const size_t end = std::min(first + kStepsTogether, steps_);
    for (size_t o = panel.first_channel; o < last; ++o) {
      const int8_t* const from = weights.data() + o * inputs;
      int8_t* const to = out + (o - panel.first_channel) * ops.step_channels;
      for (size_t step = first; step < end; ++step) {
        const size_t at = std::min(step * ops.step_channels, inputs);
        const size_t size = std::min(ops.step_channels, inputs - at);
        int8_t* const step_to = to + step * panel_channels * ops.step_channels;
        if (size == sizeof(uint32_t)) {
          std::memcpy(step_to, from + at, sizeof(uint32_t));
        } else {
          std::memcpy(step_to, from + at, size);
        }
      }
    }
  }
}

}  // namespace shoji::kernels::ring
