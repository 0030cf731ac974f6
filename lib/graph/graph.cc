// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/graph.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace shoji::graph {

const char* NameOf(Op op) {
  switch (op) {
    case Op::kConv:
      return "Conv";
    case Op::kGemm:
      return "Gemm";
    case Op::kMatMul:
      return "MatMul";
    case Op::kBatchNorm:
      return "BatchNormalization";
    case Op::kMaxPool:
      return "MaxPool";
    case Op::kAveragePool:
      return "AveragePool";
    case Op::kGlobalAveragePool:
      return "GlobalAveragePool";
    case Op::kReduceMean:
      return "ReduceMean";
    case Op::kRelu:
      return "Relu";
    case Op::kLeakyRelu:
      return "LeakyRelu";
    case Op::kSigmoid:
      return "Sigmoid";
    case Op::kHardSigmoid:
      return "HardSigmoid";
    case Op::kHardSwish:
      return "HardSwish";
    case Op::kTanh:
      return "Tanh";
    case Op::kClip:
      return "Clip";
    case Op::kSoftmax:
      return "Softmax";
    case Op::kAdd:
      return "Add";
    case Op::kSub:
      return "Sub";
    case Op::kMul:
      return "Mul";
    case Op::kDiv:
      return "Div";
    case Op::kConcat:
      return "Concat";
    case Op::kReshape:
      return "Reshape";
    case Op::kTranspose:
      return "Transpose";
    case Op::kPad:
      return "Pad";
    case Op::kSlice:
      return "Slice";
  }
  return "?";
}

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
