// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/exposure.h"

#include <algorithm>
#include <set>
#include <string>

namespace shoji::partition {
namespace {

using graph::Graph;
using graph::ValueId;

bool IsOpened(const Segment& segment) {
  return segment.place == Placement::kOpen || segment.place == Placement::kVerified;
}

// The nodes that take `tensor` or that it is computed from.
std::vector<bool> NodesAround(const Graph& graph, const std::string& tensor) {
  std::set<ValueId> needed;  // by the tensor: itself and what it is computed from
  std::vector<bool> around(graph.nodes.size());
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const graph::Node& node = graph.nodes[i];
    const auto is_tensor = [&](ValueId id) { return id != graph::kNoValue && graph.values[id].name == tensor; };
    const bool makes = std::any_of(node.outputs.begin(), node.outputs.end(),
                                   [&](ValueId id) { return is_tensor(id) || needed.contains(id); });
    around[i] = makes || std::any_of(node.inputs.begin(), node.inputs.end(), is_tensor);
    if (makes) {
      needed.insert(node.inputs.begin(), node.inputs.end());
    }
  }
  return around;
}

// The nodes that take, at whatever distance, something that an opened segment makes.
std::vector<bool> NodesBehindOpened(const Graph& graph, const ResolvedPlan& plan) {
  std::set<ValueId> opened;  // what opened segments make, and all that is computed from it
  std::vector<bool> behind(graph.nodes.size());
  for (const Segment& segment : plan.segments) {
    for (size_t i = segment.first_node; i < segment.end_node; ++i) {
      const graph::Node& node = graph.nodes[i];
      behind[i] = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return opened.contains(id); });
      if (behind[i] || IsOpened(segment)) {
        opened.insert(node.outputs.begin(), node.outputs.end());
      }
    }
  }
  return behind;
}

}  // namespace

std::vector<size_t> NodesBeforeWhichNothingIsOpened(const Graph& graph, const ResolvedPlan& plan) {
  std::set<std::string> shown;
  for (const Segment& segment : plan.segments) {
    if (IsOpened(segment)) {
      for (const CrossingTensor& input : segment.inputs) {
        shown.insert(input.name);
      }
    }
  }
  std::vector<bool> unopened = NodesBehindOpened(graph, plan);
  unopened.flip();
  for (const std::string& tensor : shown) {
    const std::vector<bool> around = NodesAround(graph, tensor);
    for (size_t i = 0; i < unopened.size(); ++i) {
      unopened[i] = unopened[i] && around[i];
    }
  }
  std::vector<size_t> out;
  for (size_t i = 0; i < unopened.size(); ++i) {
    if (unopened[i] && !shown.empty()) {
      out.push_back(i);
    }
  }
  return out;
}

}  // namespace shoji::partition
