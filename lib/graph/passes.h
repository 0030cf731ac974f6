// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Rewrites that keep a graph's outputs the same up to float32 rounding. Each takes and returns a valid graph.
#pragma once

#include "lib/graph/graph.h"

namespace shoji::graph {

// Folds what scales and shifts channels (BatchNormalization, and Add, Sub, Mul or Div by a constant) into the Conv or
// Gemm before it where that one's output goes nowhere else.
void FoldAffine(Graph& graph);
// Does the same with a Mul or Div after a Relu, LeakyRelu or Clip after such a layer: 1/6 * Clip(x, 0, 6), which
// exporters make of a hard sigmoid, becomes Clip(x / 6, 0, 1).
void ScaleBeforeActivations(Graph& graph);
// Makes a Pad of zeros around an image part of the convolutions that alone read it.
void FoldPads(Graph& graph);
// Drops nodes and values that no output depends on.
void RemoveDeadCode(Graph& graph);
// Those after which a value that is left holds what it did before: ranges observed on the original graph hold for it.
void Fold(Graph& graph);
// All of them, in the order that serves execution in float32. ScaleBeforeActivations changes what values hold.
void Optimize(Graph& graph);

}  // namespace shoji::graph
