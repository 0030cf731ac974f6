// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// All that is neither a convolution nor a matrix product.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "gpu_worker/cuda/open_lowering.h"
#include "lib/base/status_macros.h"
#include "lib/execution/node_access.h"
#include "lib/execution/plain_kernels.h"
#include "lib/graph/affine.h"

namespace shoji::accelerator::open_segment {
namespace {

using execution::AttributesOf;
using execution::InputShape;
using execution::OutputShape;
using execution::Residuals;
using graph::Node;
using graph::Op;
using graph::ValueId;

// The step of one kernel from `x` to the tail's value.
template <typename Args>
void AddSimple(Lowering& lowering, const Args& args, const Place& x, const Place& y) {
  lowering.AddStep(1, [=](const Addresses& at, std::vector<Kernel>& out) {
    Args bound = args;
    bound.x = at.In(x);
    bound.y = at.Out(y);
    out.emplace_back(bound);
  });
}

// The same with the tail's epilogue.
template <typename Args>
void AddFinished(Lowering& lowering, const Args& args, const Place& x, const Tail& tail,
                 const std::optional<kernels::Activation>& first = std::nullopt) {
  lowering.AddStep(1, [=](const Addresses& at, std::vector<Kernel>& out) {
    Args bound = args;
    bound.x = at.In(x);
    bound.y = at.Out(tail.y);
    bound.epilogue = EpilogueOf(tail, std::nullopt, at, first);
    out.emplace_back(bound);
  });
}

absl::Status LowerActivation(Lowering& lowering, size_t node_index, const kernels::Activation& activation) {
  const Node& node = lowering.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const Tail tail, TakeTail(lowering, node_index, Residuals::kNone));
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  MapArgs args;
  args.count = NumElements(lowering, node.inputs[0]);
  args.inner = args.count;
  AddFinished(lowering, args, x, tail, activation);
  return absl::OkStatus();
}

absl::StatusOr<Place> FloatsOf(Lowering& lowering, const std::vector<double>& values) {
  ASSIGN_OR_RETURN(Shape shape, Shape::Create({static_cast<int64_t>(values.size())}));
  auto tensor = std::make_shared<Tensor>(DataType::kFloat32, std::move(shape));
  std::transform(values.begin(), values.end(), tensor->mutable_values<float>().begin(),
                 [](double value) { return static_cast<float>(value); });
  return lowering.Constant(tensor);
}

absl::Status LowerBatchNorm(Lowering& lowering, size_t node_index) {
  const Node& node = lowering.graph().nodes[node_index];
  const std::optional<graph::Affine> affine = graph::AffineOf(lowering.graph(), node, graph::kChannelAxis);
  if (!affine.has_value()) {
    return absl::UnimplementedError("parameters that are not constant and finite");
  }
  ASSIGN_OR_RETURN(const kernels::AxisView view, kernels::MakeAxisView(OutputShape(lowering.graph(), node), 1));
  ASSIGN_OR_RETURN(const Tail tail, TakeTail(lowering, node_index, Residuals::kAllowed));
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[affine->input]));
  ASSIGN_OR_RETURN(const Place scale, FloatsOf(lowering, affine->scale));
  ASSIGN_OR_RETURN(const Place shift, FloatsOf(lowering, affine->shift));
  MapArgs args;
  args.count = NumElements(lowering, node.outputs[0]);
  args.inner = Narrow(view.inner);
  args.channels = Narrow(view.extent);
  lowering.AddStep(1, [=](const Addresses& at, std::vector<Kernel>& out) {
    MapArgs bound = args;
    bound.x = at.In(x);
    bound.y = at.Out(tail.y);
    bound.scale = at.In(scale);
    bound.epilogue = EpilogueOf(tail, shift, at);
    out.emplace_back(bound);
  });
  return absl::OkStatus();
}

absl::Status LowerPair(Lowering& lowering, size_t node_index, kernels::BinaryKind kind) {
  const Node& node = lowering.graph().nodes[node_index];
  const graph::Graph& graph = lowering.graph();
  ASSIGN_OR_RETURN(
      const kernels::LoopNest nest,
      kernels::MakeBroadcast(InputShape(graph, node, 0), InputShape(graph, node, 1), OutputShape(graph, node)));
  ASSIGN_OR_RETURN(const Tail tail, TakeTail(lowering, node_index, Residuals::kNone));
  ASSIGN_OR_RETURN(const Place a, lowering.In(node.inputs[0]));
  ASSIGN_OR_RETURN(const Place b, lowering.In(node.inputs[1]));
  PairArgs args;
  args.count = NumElements(lowering, node.outputs[0]);
  args.kind = kind;
  args.nest = NestOf(nest);
  lowering.AddStep(1, [=](const Addresses& at, std::vector<Kernel>& out) {
    PairArgs bound = args;
    bound.a = at.In(a);
    bound.b = at.In(b);
    bound.y = at.Out(tail.y);
    bound.epilogue = EpilogueOf(tail, std::nullopt, at);
    out.emplace_back(bound);
  });
  return absl::OkStatus();
}

absl::Status LowerPool(Lowering& lowering, size_t node_index) {
  const Node& node = lowering.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const kernels::PoolGeometry g, execution::PoolGeometryOf(lowering.graph(), node));
  WindowPoolArgs args;
  args.count = NumElements(lowering, node.outputs[0]);
  using Kind = WindowPoolArgs::Kind;
  args.kind = g.kind == kernels::PoolKind::kMax              ? Kind::kMax
              : g.kind == kernels::PoolKind::kAverageOfInput ? Kind::kAverageOfInput
                                                             : Kind::kAverageOfPadded;
  ASSIGN_OR_RETURN(args.window, SlidingOf(g.window, g.input, g.output));
  ASSIGN_OR_RETURN(const Tail tail, TakeTail(lowering, node_index, Residuals::kNone));
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  AddFinished(lowering, args, x, tail);
  return absl::OkStatus();
}

absl::Status AddReduction(Lowering& lowering, size_t node_index, const kernels::LoopNest& nest, ReduceArgs::Kind kind) {
  const Node& node = lowering.graph().nodes[node_index];
  std::vector<size_t> kept;
  std::vector<size_t> reduced;
  for (size_t d = 0; d < nest.rank; ++d) {
    (nest.strides[2][d] == 0 && nest.extents[d] > 1 ? reduced : kept).push_back(d);
  }
  ReduceArgs args;
  args.count = NumElements(lowering, node.outputs[0]);
  args.num_terms = NumElements(lowering, node.inputs[0]) / args.count;
  args.kind = kind;
  args.outputs = NestOf(nest, kept);
  args.terms = NestOf(nest, reduced);
  args.terms.offsets[0] = 0;  // counted in `outputs`
  ASSIGN_OR_RETURN(const Tail tail, TakeTail(lowering, node_index, Residuals::kNone));
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  AddFinished(lowering, args, x, tail);
  return absl::OkStatus();
}

absl::Status LowerReduction(Lowering& lowering, size_t node_index) {
  const graph::Graph& graph = lowering.graph();
  const Node& node = graph.nodes[node_index];
  std::vector<int64_t> axes = {2, 3};
  if (node.op != Op::kGlobalAveragePool) {
    ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::ReduceAttributes>(node));
    axes = attributes.axes;
  }
  ASSIGN_OR_RETURN(const kernels::LoopNest nest,
                   kernels::MakeReduction(InputShape(graph, node, 0), axes, OutputShape(graph, node)));
  return AddReduction(lowering, node_index, nest,
                      node.op == Op::kReduceMax ? ReduceArgs::Kind::kMax : ReduceArgs::Kind::kMean);
}

absl::Status LowerSoftmax(Lowering& lowering, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::AxisAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::AxisView view,
                   kernels::MakeAxisView(InputShape(lowering.graph(), node, 0), attributes.axis));
  SoftmaxArgs args;
  args.outer = Narrow(view.outer);
  args.extent = Narrow(view.extent);
  args.inner = Narrow(view.inner);
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  AddSimple(lowering, args, x, lowering.Out(node.outputs[0]));
  return absl::OkStatus();
}

absl::Status LowerLrn(Lowering& lowering, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::LrnAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::AxisView view, kernels::MakeAxisView(InputShape(lowering.graph(), node, 0), 1));
  LrnArgs args;
  args.count = NumElements(lowering, node.outputs[0]);
  args.extent = Narrow(view.extent);
  args.inner = Narrow(view.inner);
  // No more channels than there are count.
  const int64_t before = (attributes.size - 1) / 2;
  args.before = Narrow(std::min(view.extent, before));
  args.after = Narrow(std::min(view.extent, attributes.size - 1 - before));
  args.factor = attributes.alpha / static_cast<float>(attributes.size);
  args.beta = attributes.beta;
  args.bias = attributes.bias;
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  AddSimple(lowering, args, x, lowering.Out(node.outputs[0]));
  return absl::OkStatus();
}

absl::Status LowerQuantize(Lowering& lowering, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::FakeQuantizeAttributes>(node));
  QuantizeArgs args;
  args.count = NumElements(lowering, node.outputs[0]);
  args.scale = attributes.scale;
  args.low = static_cast<float>(int64_t{attributes.low} - attributes.zero_point);
  args.high = static_cast<float>(int64_t{attributes.high} - attributes.zero_point);
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  AddSimple(lowering, args, x, lowering.Out(node.outputs[0]));
  return absl::OkStatus();
}

absl::Status LowerGather(Lowering& lowering, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::GatherAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::AxisView view,
                   kernels::MakeAxisView(InputShape(lowering.graph(), node, 0), attributes.axis));
  ASSIGN_OR_RETURN(Shape shape, Shape::Create({static_cast<int64_t>(attributes.indices.size())}));
  auto tensor = std::make_shared<Tensor>(DataType::kFloat32, std::move(shape));
  uint8_t* to = tensor->mutable_bytes().data();
  for (const int64_t index : attributes.indices) {
    const uint32_t narrow = Narrow(index);
    std::memcpy(to, &narrow, sizeof(narrow));
    to += sizeof(narrow);
  }
  ASSIGN_OR_RETURN(const Place indices, lowering.Constant(tensor));
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  GatherArgs args;
  args.count = NumElements(lowering, node.outputs[0]);
  args.extent = Narrow(view.extent);
  args.num_indices = Narrow(static_cast<int64_t>(attributes.indices.size()));
  args.inner = Narrow(view.inner);
  const Place y = lowering.Out(node.outputs[0]);
  lowering.AddStep(1, [=](const Addresses& at, std::vector<Kernel>& out) {
    GatherArgs bound = args;
    bound.x = at.In(x);
    bound.indices = at.In(indices);
    bound.y = at.Out(y);
    out.emplace_back(bound);
  });
  return absl::OkStatus();
}

uint32_t CountOf(const Nest& nest) {
  uint32_t count = 1;
  for (uint32_t d = 0; d < nest.rank; ++d) {
    count *= nest.extents[d];
  }
  return count;
}

absl::StatusOr<kernels::LoopNest> CopyNestOf(const graph::Graph& graph, const Node& node) {
  const Shape& x = InputShape(graph, node, 0);
  const Shape& y = OutputShape(graph, node);
  if (node.op == Op::kTranspose) {
    ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::TransposeAttributes>(node));
    return kernels::MakeTranspose(x, attributes.permutation, y);
  }
  if (node.op == Op::kSlice) {
    ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::SliceAttributes>(node));
    return kernels::MakeSlice(x, attributes.starts, attributes.steps, y);
  }
  if (node.op == Op::kPad) {
    ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::PadAttributes>(node));
    return kernels::MakePad(x, attributes.begin, attributes.end, y);
  }
  return kernels::MakeBroadcast(x, y, y);  // Expand
}

absl::Status LowerCopy(Lowering& lowering, const Node& node) {
  ASSIGN_OR_RETURN(const kernels::LoopNest nest, CopyNestOf(lowering.graph(), node));
  CopyArgs args;
  args.nest = NestOf(nest);
  args.count = CountOf(args.nest);
  std::optional<FillArgs> fill;
  if (node.op == Op::kPad) {
    ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::PadAttributes>(node));
    fill = FillArgs{nullptr, NumElements(lowering, node.outputs[0]), attributes.value};
  }
  ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[0]));
  const Place y = lowering.Out(node.outputs[0]);
  lowering.AddStep(fill.has_value() ? 2 : 1, [=](const Addresses& at, std::vector<Kernel>& out) {
    if (fill.has_value()) {
      FillArgs filling = *fill;
      filling.y = at.Out(y);
      out.emplace_back(filling);
    }
    CopyArgs bound = args;
    bound.x = at.In(x);
    bound.y = at.Out(y);
    out.emplace_back(bound);
  });
  return absl::OkStatus();
}

absl::Status LowerConcat(Lowering& lowering, size_t node_index) {
  const Node& node = lowering.graph().nodes[node_index];
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::AxisAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::AxisView whole,
                   kernels::MakeAxisView(OutputShape(lowering.graph(), node), attributes.axis));
  struct Part {
    CopyArgs args;
    Place x;
  };
  std::vector<Part> parts;
  const Place y = lowering.Out(node.outputs[0]);
  int64_t position = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const int64_t extent = InputShape(lowering.graph(), node, i)[static_cast<size_t>(attributes.axis)];
    ASSIGN_OR_RETURN(const Place x, lowering.In(node.inputs[i]));
    if (extent > 0 && !lowering.IsInPlace(node_index, i)) {
      const int64_t row = extent * whole.inner;
      CopyArgs args;
      args.count = Narrow(whole.outer * row);
      args.nest.rank = 2;
      args.nest.extents[0] = Narrow(whole.outer);
      args.nest.extents[1] = Narrow(row);
      args.nest.strides[0][0] = static_cast<int32_t>(row);
      args.nest.strides[0][1] = 1;
      args.nest.strides[2][0] = static_cast<int32_t>(whole.extent * whole.inner);
      args.nest.strides[2][1] = 1;
      args.nest.offsets[2] = static_cast<int32_t>(position * whole.inner);
      parts.push_back({args, x});
    }
    position += extent;
  }
  const size_t num_parts = parts.size();
  lowering.AddStep(num_parts, [y, parts = std::move(parts)](const Addresses& at, std::vector<Kernel>& out) {
    for (const Part& part : parts) {
      CopyArgs bound = part.args;
      bound.x = at.In(part.x);
      bound.y = at.Out(y);
      out.emplace_back(bound);
    }
  });
  return absl::OkStatus();
}

absl::Status LowerReshape(Lowering& lowering, const Node& node) {
  ASSIGN_OR_RETURN(const Place place, lowering.In(node.inputs[0]));
  lowering.SetPlace(node.outputs[0], place);
  return absl::OkStatus();
}

}  // namespace

absl::Status LowerOther(Lowering& lowering, size_t node_index) {
  const Node& node = lowering.graph().nodes[node_index];
  if (const std::optional<kernels::Activation> activation = execution::ActivationOf(node)) {
    return LowerActivation(lowering, node_index, *activation);
  }
  if (const std::optional<kernels::BinaryKind> kind = execution::AnyBinaryKindOf(node.op)) {
    return LowerPair(lowering, node_index, *kind);
  }
  switch (node.op) {
    case Op::kBatchNorm:
      return LowerBatchNorm(lowering, node_index);
    case Op::kMaxPool:
    case Op::kAveragePool:
      return LowerPool(lowering, node_index);
    case Op::kGlobalAveragePool:
    case Op::kReduceMean:
    case Op::kReduceMax:
      return LowerReduction(lowering, node_index);
    case Op::kSoftmax:
      return LowerSoftmax(lowering, node);
    case Op::kLrn:
      return LowerLrn(lowering, node);
    case Op::kFakeQuantize:
      return LowerQuantize(lowering, node);
    case Op::kConcat:
      return LowerConcat(lowering, node_index);
    case Op::kReshape:
      return LowerReshape(lowering, node);
    case Op::kTranspose:
    case Op::kExpand:
    case Op::kSlice:
    case Op::kPad:
      return LowerCopy(lowering, node);
    case Op::kGather:
      return LowerGather(lowering, node);
    default:
      return absl::UnimplementedError("no kernel of the device runs this operator");
  }
}

}  // namespace shoji::accelerator::open_segment
