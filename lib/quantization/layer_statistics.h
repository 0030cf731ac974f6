// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a linear layer in 8 bits meets: its input in bytes under the windows of its weights, and what it should give.
// From these follow weights that are rounded together, each making good for what those before it are off by, and what
// the layer's bias lacks. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/quantization/linear_node.h"
#include "lib/quantization/program.h"

namespace shoji::quantization {

// Sums over examples, exact integers. Thread-compatible.
class LayerStatistics {
 public:
  // `input`: what the bytes mean; shapes as the graph has them. With `rounds_weights` also what RoundWeights needs.
  LayerStatistics(const LinearNode& layer, const ByteTensor& input, const Shape& input_shape,
                  const Shape& output_shape, bool rounds_weights);

  // One example: the layer's input and output in float32, row-major.
  void Observe(std::span<const float> input, std::span<const float> output);
  bool is_empty() const { return num_positions_ == 0; }

  // Weights of a group are correlated in blocks of whole input channels, of at most this many weights.
  static constexpr size_t kMaxBlock = 256;
  struct Block {
    size_t first = 0;  // weight of an output channel
    size_t size = 0;
    std::vector<int32_t> products;  // [size][size], of the bytes less their zero point; over the samples
    std::vector<int32_t> sums;
  };
  // [group][block]
  const std::vector<std::vector<Block>>& blocks() const { return blocks_; }
  size_t num_samples() const { return num_samples_; }

  // What has to be added to the bias where the layer is computed with `layer`, one an output channel. Requires an
  // example.
  std::vector<float> Correction(const LinearLayer& layer) const;

 private:
  void Sample();
  void Gather(int64_t row, int64_t column, size_t group, std::vector<int32_t>& out) const;

  const kernels::ConvGeometry geometry_;
  const ByteTensor input_;
  const Shape input_shape_;
  const Shape output_shape_;
  const size_t taps_;
  std::vector<uint8_t> bytes_;
  std::vector<int64_t> tap_sums_;  // [tap][input channel], of the bytes less their zero point; over all positions
  std::vector<double> output_sums_;
  uint64_t num_positions_ = 0;
  std::vector<std::vector<Block>> blocks_;
  size_t num_samples_ = 0;
  uint64_t num_examples_ = 0;
};

}  // namespace shoji::quantization
