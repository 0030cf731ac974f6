// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Rewrites that keep a graph's outputs the same up to float32 rounding. Each takes and returns a valid graph.
#pragma once

#include "lib/graph/graph.h"

namespace shoji::graph {

// Folds BatchNormalization into the Conv or Gemm before it where that one's output goes nowhere else.
void FoldBatchNorm(Graph& graph);
// Drops nodes and values that no output depends on.
void RemoveDeadCode(Graph& graph);
// All of them, in the order that serves execution.
void Optimize(Graph& graph);

}  // namespace shoji::graph
