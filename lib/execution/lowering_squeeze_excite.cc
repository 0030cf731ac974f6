// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/execution/lowering.h"
#include "lib/execution/squeeze_excite.h"
#include "lib/kernels/blocked/squeeze_excite.h"

namespace shoji::execution {
namespace {

using graph::Node;
using kernels::Activation;
using kernels::blocked::SqueezeExcite;
using kernels::onednn::Layout;

SqueezeExcite::Layer LayerOf(const Builder& builder, size_t node_index, const std::vector<Activation>& activations) {
  const Node& node = builder.graph().nodes[node_index];
  SqueezeExcite::Layer layer;
  layer.weights = ValueOf(builder, node.inputs[1]).constant->values<float>();
  if (HasInput(node, 2)) {
    layer.bias = ValueOf(builder, node.inputs[2]).constant->values<float>();
  }
  layer.activations = activations;
  return layer;
}

}  // namespace

absl::Status LowerSqueezeExcite(Builder& builder, size_t node_index) {
  const std::optional<SqueezeExcitation> found = FindSqueezeExcitation(builder.graph(), builder.uses(), node_index);
  if (!found.has_value() || builder.ops() == nullptr) {
    return LeftToPlain();
  }
  const auto knows = [&](const Activation& activation) { return builder.ops()->knows(activation.kind); };
  if (!std::all_of(found->squeeze_activations.begin(), found->squeeze_activations.end(), knows) ||
      !std::all_of(found->excite_activations.begin(), found->excite_activations.end(), knows)) {
    return LeftToPlain();
  }
  const Shape& shape = ValueOf(builder, found->x).shape;
  ASSIGN_OR_RETURN(const Layout layout, Layout::Blocked(shape.dims(), builder.ops()->lanes));
  ASSIGN_OR_RETURN(const Place x, builder.In(found->x, layout));
  const auto kernel = std::make_shared<const SqueezeExcite>(
      *builder.ops(), static_cast<size_t>(shape[1]), static_cast<size_t>(shape[2] * shape[3]),
      LayerOf(builder, found->squeeze, found->squeeze_activations),
      LayerOf(builder, found->excite, found->excite_activations));
  ASSIGN_OR_RETURN(const Place output, ResultPlace(builder, found->nodes, found->output, x));
  NativeKernel native;
  native.scratch_bytes = kernel->scratch_bytes();
  // Shared because a std::function is copied.
  native.run = [kernel](std::span<const float* const> in, float* y, std::span<uint8_t> scratch) {
    kernel->Run(in[0], y, scratch);
  };
  builder.AddNativeStep(builder.graph().nodes[node_index].name, std::move(native), {&x, 1}, output);
  builder.SetPlace(found->output, output);
  for (const size_t node : found->nodes) {
    builder.MarkDone(node);
  }
  return absl::OkStatus();
}

}  // namespace shoji::execution
