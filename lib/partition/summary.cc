// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/summary.h"

#include <set>

namespace shoji::partition {

std::vector<OpenedSegment> Summarize(const ResolvedPlan& plan) {
  std::vector<OpenedSegment> opened;
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    const Segment& segment = plan.segments[i];
    if (!Reveals(segment.place)) {
      continue;
    }
    std::set<std::string> operators;
    for (const AcceleratorIdentity& accelerator : segment.accelerators) {
      if (!accelerator.operator_name.empty()) {
        operators.insert(accelerator.operator_name);
      }
    }
    opened.push_back({.index = i,
                      .first_node = segment.first_node_name,
                      .last_node = segment.last_node_name,
                      .operators = {operators.begin(), operators.end()},
                      .revealed = segment.inputs,
                      .result_opened = segment.holds_result});
  }
  return opened;
}

}  // namespace shoji::partition
