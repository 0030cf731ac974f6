// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "lib/graph/graph.h"

namespace shoji::graph {

// y = scale * x + shift, one pair a channel.
struct Affine {
  size_t input = 0;  // which of the node's inputs is x
  std::vector<double> scale;
  std::vector<double> shift;
};

// The axis of channels in ONNX's layouts: the one after the batch's.
inline constexpr size_t kChannelAxis = 1;

// What `node` does if it adds, subtracts, multiplies or divides by a constant that is the same for all elements, or for
// all of a channel, channels being the result's axis `axis`; or if it is a BatchNormalization with constant parameters
// and `axis` is kChannelAxis. None if it is neither, if the result has no such axis, or if a number is not finite.
std::optional<Affine> AffineOf(const Graph& graph, const Node& node, size_t axis);

}  // namespace shoji::graph
