// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "lib/execution/fusion.h"
#include "lib/graph/graph.h"
#include "lib/kernels/activation.h"

namespace shoji::execution {

// The nodes of x * gate(x), where the gate is two 1x1 convolutions of the mean over the image, each with activations.
struct SqueezeExcitation {
  size_t squeeze = 0;  // the convolutions
  size_t excite = 0;
  std::vector<kernels::Activation> squeeze_activations;
  std::vector<kernels::Activation> excite_activations;
  std::vector<size_t> nodes;  // all of them
  graph::ValueId x = graph::kNoValue;
  graph::ValueId output = graph::kNoValue;
};

// The one that begins with the mean at `node`; none if there is none, or if anything else reads what it computes on the
// way. Its weights are constants, its x is one image of more than one cell.
std::optional<SqueezeExcitation> FindSqueezeExcitation(const graph::Graph& graph, const UseTable& uses, size_t node);

}  // namespace shoji::execution
