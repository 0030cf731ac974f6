// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/cost.h"

#include <algorithm>
#include <vector>

#include "lib/base/check.h"

namespace shoji::graph {
namespace {

uint64_t SaturatingMul(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  return __builtin_mul_overflow(a, b, &out) ? UINT64_MAX : out;
}

uint64_t SaturatingAdd(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  return __builtin_add_overflow(a, b, &out) ? UINT64_MAX : out;
}

// Multiplications that one element of the node's output takes.
uint64_t MacsPerOutput(const Graph& graph, const Node& node) {
  const Shape& a = graph.values[node.inputs[0]].shape;
  switch (node.op) {
    case Op::kConv: {
      const Shape& w = graph.values[node.inputs[1]].shape;
      return SaturatingMul(SaturatingMul(static_cast<uint64_t>(w[1]), static_cast<uint64_t>(w[2])),
                           static_cast<uint64_t>(w[3]));
    }
    case Op::kGemm:
      return static_cast<uint64_t>(a[std::get<GemmAttributes>(node.attributes).trans_a ? 0 : 1]);
    case Op::kMatMul:
      return static_cast<uint64_t>(a[a.rank() - 1]);
    default:
      return 0;
  }
}

// Operations of the whole node, `macs` of them multiplications.
uint64_t OperationsOf(const Graph& graph, const Node& node, uint64_t outputs, uint64_t macs) {
  switch (node.op) {
    case Op::kMaxPool:
    case Op::kAveragePool: {
      const auto& kernel = std::get<PoolAttributes>(node.attributes).kernel;
      const uint64_t window = SaturatingMul(static_cast<uint64_t>(kernel[0]), static_cast<uint64_t>(kernel[1]));
      return SaturatingMul(outputs, std::max(window, uint64_t{1}));
    }
    case Op::kGlobalAveragePool:
    case Op::kReduceMean:
    case Op::kReduceMax:
      return std::max(outputs, uint64_t{graph.values[node.inputs[0]].shape.num_elements()});
    case Op::kLrn:
      return SaturatingMul(outputs, static_cast<uint64_t>(std::get<LrnAttributes>(node.attributes).size));
    default:
      return std::max(outputs, macs);
  }
}

}  // namespace

Cost CostOf(const Graph& graph, size_t first, size_t end) {
  SHOJI_CHECK(first <= end && end <= graph.nodes.size());
  Cost cost;
  std::vector<bool> counted(graph.values.size(), false);
  for (size_t i = first; i < end; ++i) {
    const Node& node = graph.nodes[i];
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || graph.values[id].constant == nullptr || counted[id]) {
        continue;
      }
      counted[id] = true;
      cost.parameters = SaturatingAdd(cost.parameters, graph.values[id].constant->num_elements());
      cost.parameter_bytes = SaturatingAdd(cost.parameter_bytes, graph.values[id].constant->size_bytes());
    }
    const uint64_t outputs = graph.values[node.outputs[0]].shape.num_elements();
    const uint64_t macs = SaturatingMul(outputs, MacsPerOutput(graph, node));
    cost.macs = SaturatingAdd(cost.macs, macs);
    cost.operations = SaturatingAdd(cost.operations, OperationsOf(graph, node, outputs, macs));
  }
  return cost;
}

}  // namespace shoji::graph
