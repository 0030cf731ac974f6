// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "lib/graph/graph.h"

namespace shoji::graph {

// Expects the same values (name, type, shape, contents), nodes (but for op_type's spelling), inputs and outputs.
void ExpectSameGraph(const Graph& a, const Graph& b);

}  // namespace shoji::graph
