// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the makers of kernels ask of a node. Nodes come from graph::Graph, valid by construction.
#pragma once

#include <cstddef>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/tensor/shape.h"

namespace shoji::execution {

// INVALID_ARGUMENT when `node` carries attributes of another kind than T.
template <typename T>
absl::StatusOr<T> AttributesOf(const graph::Node& node) {
  const T* attributes = std::get_if<T>(&node.attributes);
  if (attributes == nullptr) {
    return absl::InvalidArgumentError("the attributes are those of another operator");
  }
  return *attributes;
}

// Requires an input `i` that is not kNoValue.
inline const Shape& InputShape(const graph::Graph& graph, const graph::Node& node, size_t i) {
  return graph.values[node.inputs[i]].shape;
}
// Of the first output.
inline const Shape& OutputShape(const graph::Graph& graph, const graph::Node& node) {
  return graph.values[node.outputs[0]].shape;
}

}  // namespace shoji::execution
