// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Where the segments of a policy start in a graph.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/partition/policy.h"

namespace shoji::partition {

// How messages call a segment: "segment 2 (from `fc`)"; `index` is from 0.
std::string SegmentLabel(size_t index, const SegmentPolicy& segment);

// The name of the file's node that `ordinal` means. NOT_FOUND when there is none.
absl::StatusOr<std::string> FindOrdinal(const graph::Graph& graph, const NodeOrdinal& ordinal);

// For each node of `graph`, the index of its segment. Every segment has nodes, and no node depends on one of a later
// segment. Errors as partition::Resolve.
absl::StatusOr<std::vector<size_t>> SegmentOfEachNode(const PartitionPolicy& policy, const graph::Graph& graph);

}  // namespace shoji::partition
