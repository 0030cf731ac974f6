// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/graph/graph.h"

namespace shoji::graph {

struct Cost {
  uint64_t parameters = 0;  // elements of the constants read, each counted once
  uint64_t parameter_bytes = 0;
  uint64_t macs = 0;  // multiply-accumulates of Conv, Gemm and MatMul; saturates
  // `macs`, and of every other node the elements it reads or writes: what pooling windows cover, what a reduction sums,
  // and at least one an element of any output. Never 0 for a node. Saturates.
  uint64_t operations = 0;
};

// What the nodes [first, end) of `graph` cost. Requires first <= end <= graph.nodes.size().
Cost CostOf(const Graph& graph, size_t first, size_t end);

}  // namespace shoji::graph
