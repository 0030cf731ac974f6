// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/graph.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lib/base/check.h"

namespace shoji::graph {

namespace {

// In the order of Op.
// clang-format off
constexpr const char* kNames[] = {
    "Conv", "Gemm", "MatMul", "BatchNormalization", "MaxPool", "AveragePool", "GlobalAveragePool",
    "ReduceMean", "ReduceMax", "Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Clip",
    "Elu", "Selu", "ThresholdedRelu", "Softplus", "Softsign", "Erf", "Abs", "Neg", "Exp", "Log", "Sqrt",
    "Reciprocal", "Floor", "Ceil", "Round", "Sign", "FakeQuantize", "Softmax", "LRN", "Add", "Sub", "Mul",
    "Div", "Max", "Min", "Pow", "PRelu", "Concat", "Reshape", "Expand", "Transpose", "Pad", "Slice", "Gather",
};
// clang-format on
static_assert(std::size(kNames) == static_cast<size_t>(Op::kGather) + 1);

}  // namespace

const char* NameOf(Op op) { return kNames[static_cast<size_t>(op)]; }

void RemoveNodes(Graph& graph, const std::vector<bool>& keep) {
  SHOJI_CHECK(keep.size() == graph.nodes.size());
  // new_index[i]: where the first kept node at or after the old position i stands.
  std::vector<size_t> new_index(keep.size() + 1);
  size_t kept = 0;
  for (size_t i = 0; i < keep.size(); ++i) {
    new_index[i] = kept;
    kept += keep[i] ? size_t{1} : size_t{0};
  }
  new_index[keep.size()] = kept;
  for (FoldedNode& folded : graph.folded) {
    folded.next_node = new_index[folded.next_node];
    folded.end_node = new_index[folded.end_node];
  }
  std::vector<Node> nodes;
  nodes.reserve(kept);
  for (size_t i = 0; i < keep.size(); ++i) {
    if (keep[i]) {
      nodes.push_back(std::move(graph.nodes[i]));
    } else {
      graph.folded.push_back({std::move(graph.nodes[i].name), new_index[i]});
    }
  }
  graph.nodes = std::move(nodes);
}

void RemoveUnusedValues(Graph& graph) {
  std::vector<bool> used(graph.values.size(), false);
  const auto mark = [&used](const std::vector<ValueId>& ids) {
    for (const ValueId id : ids) {
      if (id != kNoValue) {
        used[id] = true;
      }
    }
  };
  mark(graph.inputs);
  mark(graph.outputs);
  for (const Node& node : graph.nodes) {
    mark(node.inputs);
    mark(node.outputs);
  }
  std::vector<ValueId> renumbered(graph.values.size(), kNoValue);
  std::vector<Value> values;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (used[i]) {
      renumbered[i] = static_cast<ValueId>(values.size());
      values.push_back(std::move(graph.values[i]));
    }
  }
  graph.values = std::move(values);
  const auto renumber = [&renumbered](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) {
      id = id == kNoValue ? kNoValue : renumbered[id];
    }
  };
  renumber(graph.inputs);
  renumber(graph.outputs);
  for (Node& node : graph.nodes) {
    renumber(node.inputs);
    renumber(node.outputs);
  }
}

std::vector<bool> LiveNodes(const Graph& graph) {
  std::vector<bool> needed(graph.values.size(), false);
  for (const ValueId id : graph.outputs) {
    needed[id] = true;
  }
  std::vector<bool> live(graph.nodes.size(), false);
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    live[i] = std::any_of(node.outputs.begin(), node.outputs.end(), [&needed](ValueId id) { return needed[id]; });
    if (!live[i]) {
      continue;
    }
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) {
        needed[id] = true;
      }
    }
  }
  return live;
}

}  // namespace shoji::graph
