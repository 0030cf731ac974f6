// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lib/partition/plan.h"

namespace shoji::partition {

// What one segment shows to those who run its accelerators: the manifest states it, and `shoji-model plan` prints it.
// Of an `open` segment they see everything; of a `verified` one what its linear layers take in and give, from which the
// rest follows. Of a `blinded` one they see nothing, so it has no entry.
struct OpenedSegment {
  size_t index = 0;  // in ResolvedPlan::segments
  std::string first_node;
  std::string last_node;
  std::vector<std::string> operators;    // sorted, each once; those without a name are left out
  std::vector<CrossingTensor> revealed;  // features that enter in the clear; all that the segment makes of them as well
  bool result_opened = false;            // it makes an output of the model
};

// The segments of `plan` in which an accelerator works on what is not masked, in order.
std::vector<OpenedSegment> Summarize(const ResolvedPlan& plan);

}  // namespace shoji::partition
