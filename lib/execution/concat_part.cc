// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/concat_part.h"

#include <algorithm>
#include <cstdint>
#include <variant>
#include <vector>

namespace shoji::execution {
namespace {

using graph::Graph;
using graph::Node;
using graph::ValueId;
using kernels::onednn::Layout;

int64_t ChannelsOf(const Graph& graph, ValueId value) { return graph.values[value].shape[1]; }

bool JoinsChannels(const Graph& graph, const Node& node) {
  const auto* attributes = std::get_if<graph::AxisAttributes>(&node.attributes);
  return node.op == graph::Op::kConcat && attributes != nullptr && attributes->axis == 1 &&
         graph.values[node.outputs[0]].shape.rank() >= 2;
}

}  // namespace

std::optional<ConcatPart> ConcatPartOf(const Graph& graph, const UseTable& uses, ValueId value, const Layout& layout) {
  const std::vector<size_t>& readers = uses.readers(value);
  const auto reader = std::find_if(readers.begin(), readers.end(),
                                   [&](size_t node) { return JoinsChannels(graph, graph.nodes[node]); });
  if (reader == readers.end() || layout.dims() != graph.values[value].shape.dims()) {
    return std::nullopt;
  }
  const Node& concat = graph.nodes[*reader];
  const std::optional<Layout> whole = layout.Stacked(ChannelsOf(graph, concat.outputs[0]));
  if (!whole.has_value() || graph.values[value].shape.num_elements() == 0) {
    return std::nullopt;
  }
  // Every part must begin where a block of channels does.
  if (!std::all_of(concat.inputs.begin(), concat.inputs.end(),
                   [&](ValueId input) { return layout.Stacked(ChannelsOf(graph, input)).has_value(); })) {
    return std::nullopt;
  }
  const auto input = std::find(concat.inputs.begin(), concat.inputs.end(), value) - concat.inputs.begin();
  return InputPart(graph, *reader, static_cast<size_t>(input), *whole);
}

ConcatPart InputPart(const Graph& graph, size_t node, size_t input, const Layout& whole) {
  const Node& concat = graph.nodes[node];
  ConcatPart part;
  part.node = node;
  part.whole = whole;
  for (size_t i = 0; i < input; ++i) {
    part.offset += graph.values[concat.inputs[i]].shape.num_elements() * sizeof(float);
  }
  return part;
}

}  // namespace shoji::execution
