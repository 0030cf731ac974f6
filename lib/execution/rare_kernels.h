// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Reference kernels of operators that few networks have. Private to this folder.
#pragma once

#include "absl/status/statusor.h"
#include "lib/execution/steps.h"
#include "lib/graph/graph.h"

namespace shoji::execution {

// As MakePlainKernel, for ReduceMax, LRN, FakeQuantize, Expand and Gather.
absl::StatusOr<PlainKernel> MakeRareKernel(const graph::Graph& graph, const graph::Node& node);

}  // namespace shoji::execution
