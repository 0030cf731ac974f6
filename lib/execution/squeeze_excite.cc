// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/squeeze_excite.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "lib/execution/plain_kernels.h"
#include "lib/kernels/geometry.h"

namespace shoji::execution {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;

// The only node that reads `value`, if it is one.
std::optional<size_t> OnlyReader(const UseTable& uses, ValueId value) {
  const std::vector<size_t>& readers = uses.readers(value);
  return readers.size() == 1 && !uses.is_output(value) ? std::optional(readers[0]) : std::nullopt;
}

bool IsMeanOfImage(const Graph& graph, const Node& node) {
  if (node.op != Op::kGlobalAveragePool && node.op != Op::kReduceMean) {
    return false;
  }
  const absl::StatusOr<kernels::PoolGeometry> geometry = PoolGeometryOf(graph, node);
  return geometry.ok() && geometry->batch == 1 && geometry->input != kernels::Extents{1, 1} &&
         graph.values[node.outputs[0]].shape.rank() == 4;
}

bool IsDenseOfOneCell(const Graph& graph, const Node& node, ValueId x) {
  if (node.op != Op::kConv || node.inputs[0] != x) {
    return false;
  }
  const auto is_constant = [&](size_t i) {
    return i >= node.inputs.size() || node.inputs[i] == graph::kNoValue ||
           graph.values[node.inputs[i]].constant != nullptr;
  };
  const absl::StatusOr<kernels::ConvGeometry> g = ConvGeometryOf(graph, node);
  const kernels::Extents one = {1, 1};
  return g.ok() && is_constant(1) && is_constant(2) && g->group == 1 && g->window.kernel == one && g->input == one &&
         g->output == one && g->in_channels > 0 && g->out_channels > 0;
}

// The convolution that alone reads `value`, with what follows it.
struct DenseLayer {
  size_t node = 0;
  Chain chain;
};
std::optional<DenseLayer> DenseAfter(const Graph& graph, const UseTable& uses, ValueId value) {
  const std::optional<size_t> reader = OnlyReader(uses, value);
  if (!reader.has_value() || !IsDenseOfOneCell(graph, graph.nodes[*reader], value)) {
    return std::nullopt;
  }
  return DenseLayer{*reader, FindChain(graph, uses, *reader, Residuals::kNone, [](ValueId) { return false; })};
}

}  // namespace

std::optional<SqueezeExcitation> FindSqueezeExcitation(const Graph& graph, const UseTable& uses, size_t node) {
  const Node& mean = graph.nodes[node];
  if (!IsMeanOfImage(graph, mean)) {
    return std::nullopt;
  }
  const std::optional<DenseLayer> squeeze = DenseAfter(graph, uses, mean.outputs[0]);
  const std::optional<DenseLayer> excite =
      squeeze.has_value() ? DenseAfter(graph, uses, squeeze->chain.output) : std::nullopt;
  const std::optional<size_t> last = excite.has_value() ? OnlyReader(uses, excite->chain.output) : std::nullopt;
  if (!last.has_value() || graph.nodes[*last].op != Op::kMul) {
    return std::nullopt;
  }
  const Node& mul = graph.nodes[*last];
  const ValueId x = mean.inputs[0];
  const ValueId gate = excite->chain.output;
  const bool scales = (mul.inputs[0] == x && mul.inputs[1] == gate) || (mul.inputs[1] == x && mul.inputs[0] == gate);
  if (!scales || !(graph.values[mul.outputs[0]].shape == graph.values[x].shape)) {
    return std::nullopt;
  }
  SqueezeExcitation out;
  out.squeeze = squeeze->node;
  out.excite = excite->node;
  out.squeeze_activations = squeeze->chain.activations;
  out.excite_activations = excite->chain.activations;
  out.nodes = {node, squeeze->node, excite->node, *last};
  for (const Chain* chain : {&squeeze->chain, &excite->chain}) {
    out.nodes.insert(out.nodes.end(), chain->absorbed.begin(), chain->absorbed.end());
  }
  out.x = x;
  out.output = mul.outputs[0];
  return out;
}

}  // namespace shoji::execution
