// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Conv, Gemm and MatMul with constant weights, in one form, and that form in int8. Private to this folder and its
// tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/kernels/geometry.h"
#include "lib/quantization/byte_kernels.h"
#include "lib/quantization/linear_layer.h"
#include "lib/quantization/program.h"

namespace shoji::quantization {

// y = factor * (W x) + bias, with real numbers; the weights stay where the graph has them. Valid as long as the graph.
struct LinearNode {
  kernels::ConvGeometry geometry;
  const float* weights = nullptr;
  size_t channel_stride = 1;  // from one output channel's weights to the next
  size_t element_stride = 1;  // within a channel
  size_t per_channel = 1;
  std::vector<double> factor;  // one an output channel
  std::vector<double> bias;
  // One a weight in the order of LinearLayer::weights, added to the integer nearest to the weight times the sign of its
  // factor; empty: nothing.
  std::span<const int8_t> rounding;
};

// None where the node is no linear layer with constant weights, or one that the layouts of lib/kernels/ring do not
// hold (batches, a transposed activation, a bias that differs from row to row). Requires a checked graph.
std::optional<LinearNode> AsLinear(const graph::Graph& graph, const graph::Node& node);

// What the layer gives: bytes, or float32 where they have no form.
struct LinearOutput {
  std::optional<ByteTensor> form;
  ByteOutput bytes;
};

// The weights of an output channel times the sign of its factor, before they are rounded: in [-127, 127].
std::vector<double> WeightsInSteps(const LinearNode& node, const ByteTensor& input, size_t channel);

// Weights: symmetric per channel, round half to even; they hold the scales of the input's channels. INVALID_ARGUMENT
// names the layer whose accumulator fits neither ring, or whose weights are not finite. The same bits whatever
// `options`.
absl::StatusOr<LinearLayer> QuantizeLinear(const std::string& name, const LinearNode& node, const ByteTensor& input,
                                           const LinearOutput& output, const CompileOptions& options = {});

}  // namespace shoji::quantization
