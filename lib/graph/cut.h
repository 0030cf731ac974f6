// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/graph/graph.h"

namespace shoji::graph {

// The nodes [first, end) of `graph` as a graph of their own. Its inputs are the values they read that neither they nor
// constants provide, in the order of `graph.values`; its outputs are the values they make that a later node reads or
// that `graph` outputs, likewise ordered. Any prefix of a topological order closes over its inputs, so every pair of
// positions is a valid cut, residual and branch edges included. Requires first < end <= graph.nodes.size().
Graph Cut(const Graph& graph, size_t first, size_t end);

// The index in `graph.nodes` at which a segment that starts at the node called `name` begins: the first of its steps
// where import made several nodes of it; for a node that import folded away, the next node. NOT_FOUND suggests near
// names.
absl::StatusOr<size_t> FindNode(const Graph& graph, const std::string& name);
// The index at which a segment that starts after the node called `name` begins; likewise.
absl::StatusOr<size_t> FindAfter(const Graph& graph, const std::string& name);

// Cut, from a graph of which the nodes before `end` are not needed any more: the constants that none of the others
// reads are left to the part alone, so that whoever compiles it lets them go.
Graph TakeCut(Graph& graph, size_t first, size_t end);

}  // namespace shoji::graph
