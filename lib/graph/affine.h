// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "lib/graph/graph.h"

namespace shoji::graph {

// y = scale * x + shift, one pair a channel. Channels are the axis after the batch's.
struct Affine {
  size_t input = 0;  // which of the node's inputs is x
  std::vector<double> scale;
  std::vector<double> shift;
};

// What `node` does if it is a BatchNormalization with constant parameters, or adds, subtracts, multiplies or divides by
// a constant that is the same for all, or for all elements of a channel. None if it is not, or if a factor is not
// finite.
std::optional<Affine> AffineOf(const Graph& graph, const Node& node);

}  // namespace shoji::graph
