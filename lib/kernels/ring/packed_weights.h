// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Weights in the order in which the inner loops read them. Immutable and thread-safe.
//
// Output channels of a group are cut into panels of at most `panel_vectors` vectors; a panel is
// [kernel row][kernel column][step][output channel, padded to whole vectors][input channel of the step], zero where
// there is no such channel. Weights are bytes, or wider where the loops would have to widen them. Panels start at
// multiples of 64 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/ops.h"
#include "lib/tensor/tensor.h"

namespace shoji::kernels::ring {

struct Panel {
  size_t first_channel = 0;  // of the output
  size_t channels = 0;       // to store; without groups the last panel includes the output's padding
  size_t vectors = 0;
  size_t first_input = 0;  // channel
  size_t offset = 0;       // of its weights, in bytes
  size_t bytes = 0;
};

class PackedWeights {
 public:
  struct Options {
    size_t panel_vectors = 1;
    int num_threads = 1;  // at most, to pack on
  };
  // `weights` are [out_channels][in_channels / group][kernel height][kernel width].
  PackedWeights(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops, const Options& options);

  const std::vector<Panel>& panels() const { return panels_; }
  const int8_t* WeightsOf(const Panel& panel) const { return bytes_.values<int8_t>().data() + panel.offset; }
  // Steps of the inner loop for one tap.
  size_t steps() const { return steps_; }
  size_t size_bytes() const { return bytes_.size_bytes(); }

 private:
  void PlacePanels(const ConvGeometry& geometry, const Ops& ops, size_t panel_vectors);
  void FillPanel(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops, const Panel& panel);
  void CopySteps(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops, const Panel& panel);

  size_t steps_ = 0;
  std::vector<Panel> panels_;
  Tensor bytes_;
};

}  // namespace shoji::kernels::ring
