// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/layers.h"

#include <algorithm>
#include <set>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/cut.h"

namespace shoji::partition {
namespace {

bool HasWeights(const graph::Graph& graph, const graph::Node& node) {
  if (node.op != graph::Op::kConv && node.op != graph::Op::kGemm && node.op != graph::Op::kMatMul) {
    return false;
  }
  return std::any_of(node.inputs.begin(), node.inputs.end(), [&graph](graph::ValueId id) {
    return id != graph::kNoValue && graph.values[id].constant != nullptr;
  });
}

}  // namespace

std::vector<size_t> LayersOf(const graph::Graph& graph) {
  std::vector<size_t> layers;
  std::set<std::string> seen;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const graph::Node& node = graph.nodes[i];
    if (HasWeights(graph, node) && (node.step_of.empty() || seen.insert(node.step_of).second)) {
      layers.push_back(i);
    }
  }
  return layers;
}

absl::StatusOr<size_t> FirstOfLastLayers(const graph::Graph& graph, int64_t count) {
  const std::vector<size_t> layers = LayersOf(graph);
  if (count < 1 || static_cast<uint64_t>(count) > layers.size()) {
    return absl::InvalidArgumentError("the last " + std::to_string(count) + " layers: the model has " +
                                      std::to_string(layers.size()) + " layers with weights");
  }
  const graph::Node& node = graph.nodes[layers[layers.size() - static_cast<size_t>(count)]];
  return graph::FindNode(graph, node.step_of.empty() ? node.name : node.step_of);
}

absl::StatusOr<PartitionPolicy> LastLayersPolicy(const std::string& model, const graph::Graph& graph, int64_t count) {
  ASSIGN_OR_RETURN(const size_t first, FirstOfLastLayers(graph, count));
  PartitionPolicy policy;
  policy.model = model;
  if (first > 0) {
    policy.segments.emplace_back().place = Placement::kOpen;
  }
  SegmentPolicy& last = policy.segments.emplace_back();
  last.place = Placement::kEnclave;
  last.confidential = true;
  if (first > 0) {
    last.start.kind = StartPoint::Kind::kAt;
    last.start.ordinal = NodeOrdinal{.op_type = "", .number = -count};
  }
  return policy;
}

}  // namespace shoji::partition
