// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Weights that never leave the enclave: those of a segment with `confidential: true`, and those that the owner of a
// sealed model names.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/graph/graph.h"
#include "lib/partition/plan.h"

namespace shoji::partition {

// Holds `plan`, resolved for `graph`, to keeping the weights of `nodes` (their names; the steps that import made of one
// included) in the enclave: a segment that has one of them and is placed there is marked confidential, and the plan's
// digest is made anew. INVALID_ARGUMENT names the node and the segment that would move it out, or the weights that a
// node elsewhere reads too; NOT_FOUND a node that the graph does not have, for import folded it away, say.
absl::Status KeepConfidential(const std::vector<std::string>& nodes, const graph::Graph& graph, ResolvedPlan& plan);

// Refuses a plan under which an accelerator sees, in the clear, a tensor that is computed from what one of `nodes`
// makes: from enough of those anybody works out the node's weights, however the answers leave. INVALID_ARGUMENT names
// the segment, the tensor and the node.
absl::Status HideResultsOf(const std::vector<std::string>& nodes, const graph::Graph& graph, const ResolvedPlan& plan);

// What Resolve and KeepConfidential do last, once the segments are known. INVALID_ARGUMENT when a node that an
// accelerator gets reads weights of a confidential segment (a single number may be shared: the other node makes it
// public). Marks the segments that are compiled apart (Segment::apart), so that no pass folds confidential weights into
// a layer that leaves, and makes the digest.
absl::Status FinishPlan(const graph::Graph& graph, ResolvedPlan& plan);

}  // namespace shoji::partition
