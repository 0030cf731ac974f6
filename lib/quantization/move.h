// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that only move bytes, as lists of runs. Where each byte goes is fixed by shapes, never by values. Private
// to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/graph/graph.h"

namespace shoji::quantization {

// `size` bytes from offset `from` of the source to offset `to` of the result.
struct ByteRun {
  size_t from = 0;
  size_t to = 0;
  size_t size = 0;
  bool operator==(const ByteRun&) const = default;
};

// What the result takes from one input of the node; what no input gives stays as it is.
using MovePart = std::vector<ByteRun>;

// One part an input of a Reshape, Transpose, Slice, Pad or Concat, whose shapes have been checked.
std::vector<MovePart> MovePartsOf(const graph::Graph& graph, const graph::Node& node);

}  // namespace shoji::quantization
