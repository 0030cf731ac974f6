// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/rare_kernels.h"

#include <cmath>
#include <utility>
#include <variant>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/execution/node_access.h"
#include "lib/kernels/geometry.h"
#include "lib/kernels/reference/elementwise.h"
#include "lib/kernels/reference/movement.h"

namespace shoji::execution {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using Inputs = std::span<const std::span<const float>>;

absl::Status RequireSameShape(const Graph& graph, const Node& node) {
  if (!(OutputShape(graph, node) == InputShape(graph, node, 0))) {
    return absl::InvalidArgumentError("the output's shape is not the input's");
  }
  return absl::OkStatus();
}

absl::StatusOr<PlainKernel> ReduceMaxKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::ReduceAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::LoopNest nest,
                   kernels::MakeReduction(InputShape(graph, node, 0), attributes.axes, OutputShape(graph, node)));
  return PlainKernel([nest](Inputs in, std::span<float> out) { kernels::reference::ReduceMax(nest, in[0], out); });
}

absl::StatusOr<PlainKernel> LrnKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::LrnAttributes>(node));
  RETURN_IF_ERROR(RequireSameShape(graph, node));
  ASSIGN_OR_RETURN(const kernels::AxisView view, kernels::MakeAxisView(InputShape(graph, node, 0), 1));
  if (attributes.size < 1 || attributes.size > Shape::kMaxElements) {
    return absl::InvalidArgumentError("a region of no or of too many channels");
  }
  const kernels::reference::LrnParameters parameters = {attributes.size, attributes.alpha, attributes.beta,
                                                        attributes.bias};
  return PlainKernel(
      [view, parameters](Inputs in, std::span<float> out) { kernels::reference::Lrn(view, parameters, in[0], out); });
}

absl::StatusOr<PlainKernel> FakeQuantizeKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::FakeQuantizeAttributes>(node));
  RETURN_IF_ERROR(RequireSameShape(graph, node));
  if (!std::isfinite(attributes.scale) || attributes.scale <= 0 || attributes.low > attributes.high) {
    return absl::InvalidArgumentError("quantization steps that are out of order");
  }
  const kernels::reference::QuantizeSteps steps = {
      attributes.scale, static_cast<float>(int64_t{attributes.low} - attributes.zero_point),
      static_cast<float>(int64_t{attributes.high} - attributes.zero_point)};
  return PlainKernel([steps](Inputs in, std::span<float> out) { kernels::reference::FakeQuantize(steps, in[0], out); });
}

absl::StatusOr<PlainKernel> ExpandKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(
      const kernels::LoopNest nest,
      kernels::MakeBroadcast(InputShape(graph, node, 0), OutputShape(graph, node), OutputShape(graph, node)));
  return PlainKernel([nest](Inputs in, std::span<float> out) { kernels::reference::Copy(nest, in[0], out); });
}

absl::StatusOr<PlainKernel> GatherKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(auto attributes, AttributesOf<graph::GatherAttributes>(node));
  const Shape& x = InputShape(graph, node, 0);
  ASSIGN_OR_RETURN(const kernels::AxisView view, kernels::MakeAxisView(x, attributes.axis));
  std::vector<int64_t> expected = x.dims();
  expected[static_cast<size_t>(attributes.axis)] = static_cast<int64_t>(attributes.indices.size());
  if (OutputShape(graph, node).dims() != expected) {
    return absl::InvalidArgumentError("the indices do not fit the output's shape");
  }
  for (const int64_t index : attributes.indices) {
    if (index < 0 || index >= view.extent) {
      return absl::InvalidArgumentError("an index is out of range");
    }
  }
  return PlainKernel([view, indices = std::move(attributes.indices)](Inputs in, std::span<float> out) {
    kernels::reference::Gather(view, indices, in[0], out);
  });
}

}  // namespace

absl::StatusOr<PlainKernel> MakeRareKernel(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::kReduceMax:
      return ReduceMaxKernel(graph, node);
    case Op::kLrn:
      return LrnKernel(graph, node);
    case Op::kFakeQuantize:
      return FakeQuantizeKernel(graph, node);
    case Op::kExpand:
      return ExpandKernel(graph, node);
    case Op::kGather:
      return GatherKernel(graph, node);
    default:
      return absl::UnimplementedError("no kernel runs this operator");
  }
}

}  // namespace shoji::execution
