// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a plan shows accelerators, as far as others are to judge it.
#pragma once

#include <cstddef>
#include <vector>

#include "lib/graph/graph.h"
#include "lib/partition/plan.h"

namespace shoji::partition {

// The nodes before which nothing is opened, ascending: none of what the node is computed from is in an open or verified
// segment, and every tensor that such a segment takes is an input of the node, or computed from what it makes. So a
// node on one branch of several is none where a segment takes a tensor that does not depend on it, wherever it stands
// in the file. Empty where nothing is opened.
std::vector<size_t> NodesBeforeWhichNothingIsOpened(const graph::Graph& graph, const ResolvedPlan& plan);

}  // namespace shoji::partition
