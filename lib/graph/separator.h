// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Cuts at a set of nodes, where the order of the nodes in the file would not do: at several branches at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "lib/graph/graph.h"

namespace shoji::graph {

// On which side of the cut the nodes of the set themselves run.
enum class CutSide : uint8_t {
  kBehind,  // the cut is in front of them: they and all that depends on one of them run behind it
  kBefore,  // the cut is behind them: they and all that one of them depends on run before it
};

// For each node of `graph`, whether it runs before a cut at `set`, indices into `graph.nodes`. No node before the cut
// depends on one behind it.
std::vector<bool> NodesBefore(const Graph& graph, const std::vector<size_t>& set, CutSide side);

// OK when every path from an input of `graph` to an output leads through a node of `set`; otherwise INVALID_ARGUMENT
// that names the nodes of one that does not.
absl::Status CheckSeparates(const Graph& graph, const std::vector<size_t>& set);

// `graph` with its nodes in the order of their `rank`, those of one rank as they stood. Requires that no node reads
// what one of a higher rank makes.
Graph ArrangeByRank(Graph graph, const std::vector<size_t>& rank);

}  // namespace shoji::graph
