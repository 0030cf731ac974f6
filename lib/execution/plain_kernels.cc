// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/plain_kernels.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "lib/base/status_macros.h"
#include "lib/execution/fusion.h"
#include "lib/execution/node_access.h"
#include "lib/execution/rare_kernels.h"
#include "lib/kernels/reference/elementwise.h"
#include "lib/kernels/reference/linear.h"
#include "lib/kernels/reference/movement.h"
#include "lib/kernels/reference/pooling.h"

namespace shoji::execution {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;
using Inputs = std::span<const std::span<const float>>;

bool HasInput(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != graph::kNoValue; }

// The number of inputs an operator takes.
struct Arity {
  size_t least = 1;
  size_t most = 1;
};
Arity ArityOf(Op op) {
  switch (op) {
    case Op::kConv:
    case Op::kGemm:
      return {2, 3};
    case Op::kMatMul:
    case Op::kAdd:
    case Op::kSub:
    case Op::kMul:
    case Op::kDiv:
    case Op::kMax:
    case Op::kMin:
    case Op::kPow:
    case Op::kPRelu:
      return {2, 2};
    case Op::kBatchNorm:
      return {5, 5};
    case Op::kConcat:
      return {1, SIZE_MAX};
    default:
      return {1, 1};
  }
}

absl::Status CheckInputs(const Graph& graph, const Node& node, const std::vector<bool>& known) {
  const Arity arity = ArityOf(node.op);
  if (node.inputs.size() < arity.least || node.inputs.size() > arity.most || node.outputs.size() != 1) {
    return absl::InvalidArgumentError("a wrong number of inputs or outputs");
  }
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId input = node.inputs[i];
    if (input == graph::kNoValue && i >= arity.least) {
      continue;
    }
    if (input >= graph.values.size() || !known[input]) {
      return absl::InvalidArgumentError("input " + std::to_string(i) + " is not computed before it");
    }
    if (graph.values[input].type != DataType::kFloat32) {
      return absl::UnimplementedError("input " + graph.values[input].name + " is " +
                                      std::string(NameOf(graph.values[input].type)) + "; only float32 is run");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckConstant(const graph::Value& value) {
  if (value.constant->type() != value.type || !(value.constant->shape() == value.shape) ||
      value.constant->bytes().size() != value.shape.num_elements() * SizeOf(value.type)) {
    return absl::InvalidArgumentError("constant " + value.name + " has not the type and shape it claims");
  }
  return absl::OkStatus();
}

absl::StatusOr<PlainKernel> ConvKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const kernels::ConvGeometry geometry, ConvGeometryOf(graph, node));
  return PlainKernel([geometry](Inputs in, std::span<float> out) {
    kernels::reference::Convolve(geometry, in[0], in[1], in.size() > 2 ? in[2] : std::span<const float>(), out);
  });
}

absl::StatusOr<PlainKernel> GemmKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const kernels::GemmGeometry geometry, GemmGeometryOf(graph, node));
  return PlainKernel([geometry](Inputs in, std::span<float> out) {
    kernels::reference::Gemm(geometry, in[0], in[1], in.size() > 2 ? in[2] : std::span<const float>(), out);
  });
}

absl::StatusOr<PlainKernel> MatMulKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(kernels::MatMulGeometry geometry, MatMulGeometryOf(graph, node));
  return PlainKernel([geometry = std::move(geometry)](Inputs in, std::span<float> out) {
    kernels::reference::MatMul(geometry, in[0], in[1], out);
  });
}

absl::StatusOr<PlainKernel> PoolKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry, PoolGeometryOf(graph, node));
  return PlainKernel([geometry](Inputs in, std::span<float> out) { kernels::reference::Pool(geometry, in[0], out); });
}

absl::StatusOr<PlainKernel> BatchNormKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::BatchNormAttributes>(node));
  const Shape& x = InputShape(graph, node, 0);
  ASSIGN_OR_RETURN(const kernels::AxisView view, kernels::MakeAxisView(x, 1));
  for (size_t i = 1; i < 5; ++i) {
    if (static_cast<int64_t>(InputShape(graph, node, i).num_elements()) != x[1]) {
      return absl::InvalidArgumentError("a parameter does not have one element a channel");
    }
  }
  if (!(OutputShape(graph, node) == x)) {
    return absl::InvalidArgumentError("the output's shape is not the input's");
  }
  return PlainKernel([view, attributes](Inputs in, std::span<float> out) {
    kernels::reference::BatchNorm(view, {in[1], in[2], in[3], in[4], attributes.epsilon}, in[0], out);
  });
}

absl::StatusOr<PlainKernel> ReduceMeanKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::ReduceAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::LoopNest nest,
                   kernels::MakeReduction(InputShape(graph, node, 0), attributes.axes, OutputShape(graph, node)));
  return PlainKernel([nest](Inputs in, std::span<float> out) { kernels::reference::ReduceMean(nest, in[0], out); });
}

absl::StatusOr<PlainKernel> ActivationKernel(const Graph& graph, const Node& node) {
  const std::optional<kernels::Activation> activation = ActivationOf(node);
  if (!activation.has_value() || !(OutputShape(graph, node) == InputShape(graph, node, 0))) {
    return absl::InvalidArgumentError("the attributes or the output's shape do not fit the operator");
  }
  return PlainKernel([activation = *activation](Inputs in, std::span<float> out) {
    kernels::reference::Activate(activation, in[0], out);
  });
}

absl::StatusOr<PlainKernel> SoftmaxKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::AxisAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::AxisView view, kernels::MakeAxisView(InputShape(graph, node, 0), attributes.axis));
  if (!(OutputShape(graph, node) == InputShape(graph, node, 0))) {
    return absl::InvalidArgumentError("the output's shape is not the input's");
  }
  return PlainKernel([view](Inputs in, std::span<float> out) { kernels::reference::Softmax(view, in[0], out); });
}

absl::StatusOr<PlainKernel> BinaryKernel(const Graph& graph, const Node& node, kernels::BinaryKind kind) {
  ASSIGN_OR_RETURN(
      const kernels::LoopNest nest,
      kernels::MakeBroadcast(InputShape(graph, node, 0), InputShape(graph, node, 1), OutputShape(graph, node)));
  return PlainKernel(
      [nest, kind](Inputs in, std::span<float> out) { kernels::reference::Binary(kind, nest, in[0], in[1], out); });
}

absl::StatusOr<PlainKernel> ConcatKernel(const Graph& graph, const Node& node) {
  struct Part {
    kernels::AxisView view;
    int64_t position = 0;
  };
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::AxisAttributes>(node));
  const Shape& y = OutputShape(graph, node);
  ASSIGN_OR_RETURN(const kernels::AxisView whole, kernels::MakeAxisView(y, attributes.axis));
  std::vector<Part> parts;
  int64_t position = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Shape& part = InputShape(graph, node, i);
    ASSIGN_OR_RETURN(const kernels::AxisView view, kernels::MakeAxisView(part, attributes.axis));
    parts.push_back({view, position});
    position += view.extent;
    std::vector<int64_t> expected = y.dims();
    if (part.rank() == y.rank()) {
      expected[static_cast<size_t>(attributes.axis)] = view.extent;
    }
    if (part.dims() != expected || position > whole.extent) {
      return absl::InvalidArgumentError("input " + std::to_string(i) + " does not fit the output's shape");
    }
  }
  if (position != whole.extent) {
    return absl::InvalidArgumentError("the inputs do not fill the output");
  }
  return PlainKernel([whole, parts = std::move(parts)](Inputs in, std::span<float> out) {
    for (size_t i = 0; i < parts.size(); ++i) {
      kernels::reference::Insert(parts[i].view, whole, parts[i].position, in[i], out);
    }
  });
}

absl::StatusOr<PlainKernel> TransposeKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::TransposeAttributes>(node));
  ASSIGN_OR_RETURN(
      const kernels::LoopNest nest,
      kernels::MakeTranspose(InputShape(graph, node, 0), attributes.permutation, OutputShape(graph, node)));
  return PlainKernel([nest](Inputs in, std::span<float> out) { kernels::reference::Copy(nest, in[0], out); });
}

absl::StatusOr<PlainKernel> PadKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::PadAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::LoopNest nest, kernels::MakePad(InputShape(graph, node, 0), attributes.begin,
                                                                  attributes.end, OutputShape(graph, node)));
  return PlainKernel([nest, value = attributes.value](Inputs in, std::span<float> out) {
    kernels::reference::Pad(nest, value, in[0], out);
  });
}

absl::StatusOr<PlainKernel> SliceKernel(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::SliceAttributes>(node));
  ASSIGN_OR_RETURN(const kernels::LoopNest nest, kernels::MakeSlice(InputShape(graph, node, 0), attributes.starts,
                                                                    attributes.steps, OutputShape(graph, node)));
  return PlainKernel([nest](Inputs in, std::span<float> out) { kernels::reference::Copy(nest, in[0], out); });
}

// That shapes and attributes fit each other.
absl::Status CheckNode(const Graph& graph, const Node& node) {
  if (node.op != Op::kReshape) {
    return MakePlainKernel(graph, node).status();
  }
  const Shape& from = InputShape(graph, node, 0);
  const Shape& to = OutputShape(graph, node);
  if (from.num_elements() != to.num_elements()) {
    return absl::InvalidArgumentError("a reshape of " + from.ToString() + " to " + to.ToString());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status AtNode(const Node& node, const absl::Status& status) {
  return absl::Status(status.code(), "node " + node.name + " (" + node.op_type + "): " + std::string(status.message()));
}

absl::Status CheckGraph(const Graph& graph) {
  std::vector<bool> known(graph.values.size());
  for (const graph::Value& value : graph.values) {
    if (value.constant != nullptr) {
      RETURN_IF_ERROR(CheckConstant(value));
      known[static_cast<size_t>(&value - graph.values.data())] = true;
    }
  }
  for (const ValueId input : graph.inputs) {
    if (input >= graph.values.size() || known[input]) {
      return absl::InvalidArgumentError("an input of the graph is no value, a constant, or given twice");
    }
    known[input] = true;
  }
  for (const Node& node : graph.nodes) {
    if (const absl::Status status = CheckInputs(graph, node, known); !status.ok()) {
      return AtNode(node, status);
    }
    const ValueId output = node.outputs[0];
    if (output >= graph.values.size() || known[output] || graph.values[output].type != DataType::kFloat32) {
      return AtNode(node, absl::InvalidArgumentError("its output is no value, not float32, or produced twice"));
    }
    known[output] = true;
    if (const absl::Status status = CheckNode(graph, node); !status.ok()) {
      return AtNode(node, status);
    }
  }
  for (const ValueId output : graph.outputs) {
    if (output >= graph.values.size() || !known[output]) {
      return absl::InvalidArgumentError("an output of the graph is never computed");
    }
  }
  return absl::OkStatus();
}

std::optional<kernels::BinaryKind> AnyBinaryKindOf(Op op) {
  static constexpr std::pair<Op, kernels::BinaryKind> kKinds[] = {
      {Op::kAdd, kernels::BinaryKind::kAdd}, {Op::kSub, kernels::BinaryKind::kSub},
      {Op::kMul, kernels::BinaryKind::kMul}, {Op::kDiv, kernels::BinaryKind::kDiv},
      {Op::kMax, kernels::BinaryKind::kMax}, {Op::kMin, kernels::BinaryKind::kMin},
      {Op::kPow, kernels::BinaryKind::kPow}, {Op::kPRelu, kernels::BinaryKind::kPRelu}};
  for (const auto& [known, kind] : kKinds) {
    if (known == op) {
      return kind;
    }
  }
  return std::nullopt;
}

absl::StatusOr<kernels::ConvGeometry> ConvGeometryOf(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::ConvAttributes>(node));
  const Shape& w = InputShape(graph, node, 1);
  if (HasInput(node, 2) && (w.rank() == 0 || static_cast<int64_t>(InputShape(graph, node, 2).num_elements()) != w[0])) {
    return absl::InvalidArgumentError("the bias does not have one element an output channel");
  }
  return kernels::MakeConvGeometry(InputShape(graph, node, 0), w, OutputShape(graph, node), attributes.group,
                                   {attributes.kernel, attributes.strides, attributes.dilations, attributes.pads});
}

absl::StatusOr<kernels::GemmGeometry> GemmGeometryOf(const Graph& graph, const Node& node) {
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::GemmAttributes>(node));
  using Kind = kernels::GemmGeometry::Operand;
  kernels::GemmGeometry form;
  form.a = attributes.trans_a ? Kind::kTransposed : Kind::kPlain;
  form.b = attributes.trans_b ? Kind::kTransposed : Kind::kPlain;
  form.alpha = attributes.alpha;
  form.beta = attributes.beta;
  const Shape* c = HasInput(node, 2) ? &InputShape(graph, node, 2) : nullptr;
  return kernels::MakeGemmGeometry(form, InputShape(graph, node, 0), InputShape(graph, node, 1), c,
                                   OutputShape(graph, node));
}

absl::StatusOr<kernels::MatMulGeometry> MatMulGeometryOf(const Graph& graph, const Node& node) {
  return kernels::MakeMatMulGeometry(InputShape(graph, node, 0), InputShape(graph, node, 1), OutputShape(graph, node));
}

absl::StatusOr<kernels::PoolGeometry> PoolGeometryOf(const Graph& graph, const Node& node) {
  const Shape& x = InputShape(graph, node, 0);
  if (node.op == Op::kReduceMean) {
    ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::ReduceAttributes>(node));
    if (x.rank() != 4 || attributes.axes != std::vector<int64_t>{2, 3}) {
      return absl::UnimplementedError("a mean that is no pooling");
    }
    RETURN_IF_ERROR(kernels::MakeReduction(x, attributes.axes, OutputShape(graph, node)).status());
  }
  if (node.op == Op::kGlobalAveragePool || node.op == Op::kReduceMean) {
    ASSIGN_OR_RETURN(const kernels::PoolGeometry geometry, kernels::MakeGlobalPoolGeometry(x));
    const std::vector<int64_t> expected = {geometry.batch, geometry.channels, 1, 1};
    if (node.op == Op::kGlobalAveragePool && OutputShape(graph, node).dims() != expected) {
      return absl::InvalidArgumentError("the output is not one element a channel");
    }
    return geometry;
  }
  ASSIGN_OR_RETURN(const auto attributes, AttributesOf<graph::PoolAttributes>(node));
  const kernels::PoolKind kind = node.op == Op::kMaxPool        ? kernels::PoolKind::kMax
                                 : attributes.count_include_pad ? kernels::PoolKind::kAverageOfPadded
                                                                : kernels::PoolKind::kAverageOfInput;
  return kernels::MakePoolGeometry(kind, x, OutputShape(graph, node),
                                   {attributes.kernel, attributes.strides, attributes.dilations, attributes.pads},
                                   attributes.ceil_mode ? kernels::Rounding::kCeil : kernels::Rounding::kFloor);
}

absl::StatusOr<PlainKernel> MakePlainKernel(const Graph& graph, const Node& node) {
  if (ActivationOf(node).has_value()) {
    return ActivationKernel(graph, node);
  }
  if (const std::optional<kernels::BinaryKind> kind = AnyBinaryKindOf(node.op)) {
    return BinaryKernel(graph, node, *kind);
  }
  switch (node.op) {
    case Op::kConv:
      return ConvKernel(graph, node);
    case Op::kGemm:
      return GemmKernel(graph, node);
    case Op::kMatMul:
      return MatMulKernel(graph, node);
    case Op::kBatchNorm:
      return BatchNormKernel(graph, node);
    case Op::kMaxPool:
    case Op::kAveragePool:
    case Op::kGlobalAveragePool:
      return PoolKernel(graph, node);
    case Op::kReduceMean:
      return ReduceMeanKernel(graph, node);
    case Op::kSoftmax:
      return SoftmaxKernel(graph, node);
    case Op::kConcat:
      return ConcatKernel(graph, node);
    case Op::kTranspose:
      return TransposeKernel(graph, node);
    case Op::kPad:
      return PadKernel(graph, node);
    case Op::kSlice:
      return SliceKernel(graph, node);
    case Op::kReshape:
      return absl::UnimplementedError("no kernel runs this operator");
    default:
      return MakeRareKernel(graph, node);
  }
}

}  // namespace shoji::execution
