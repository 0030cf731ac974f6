// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Layers as tools for sequential networks count them: eNNclave's "last n layers".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/partition/policy.h"

namespace shoji::partition {

// The indices of the nodes with weights, in order: each Conv, Gemm and MatMul with a constant operand. The activation,
// normalization and pooling behind one belong to it. A node of the file of which import made several counts once.
std::vector<size_t> LayersOf(const graph::Graph& graph);

// The index in `graph.nodes` at which the last `count` layers start. INVALID_ARGUMENT when there are fewer, or `count`
// is not positive.
absl::StatusOr<size_t> FirstOfLastLayers(const graph::Graph& graph, int64_t count);

// A policy for `graph`: its last `count` layers in the enclave and confidential, what is before them open. Errors as
// FirstOfLastLayers.
absl::StatusOr<PartitionPolicy> LastLayersPolicy(const std::string& model, const graph::Graph& graph, int64_t count);

}  // namespace shoji::partition
