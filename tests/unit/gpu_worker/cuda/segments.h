// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Open segments of every form that the device's kernels run.
#pragma once

#include <string>
#include <vector>

#include "lib/graph/graph.h"

namespace shoji::accelerator::open_segment {

struct Segment {
  std::string name;
  graph::Graph graph;
};

std::vector<Segment> AllForms();

}  // namespace shoji::accelerator::open_segment
