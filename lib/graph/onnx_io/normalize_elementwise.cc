// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators on each element, and Softmax.

#include <limits>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/broadcast.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

Op UnaryOf(const std::string& op_type) {
  if (op_type == "Sigmoid") {
    return Op::kSigmoid;
  }
  if (op_type == "Tanh") {
    return Op::kTanh;
  }
  return op_type == "HardSwish" ? Op::kHardSwish : Op::kRelu;
}

Op BinaryOf(const std::string& op_type) {
  if (op_type == "Sub") {
    return Op::kSub;
  }
  if (op_type == "Mul") {
    return Op::kMul;
  }
  return op_type == "Div" ? Op::kDiv : Op::kAdd;
}

absl::Status EmitWithFloats(NodeScope& node, Op op, const std::string& alpha, float absent_alpha, float absent_beta) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  FloatAttributes attributes;
  ASSIGN_OR_RETURN(attributes.alpha, node.Float(alpha, absent_alpha));
  attributes.beta = absent_beta;
  return node.Emit(op, attributes, node.shape(0), 1);
}

// Softmax before operator set 13 works on the input flattened into two dimensions at `axis`.
absl::Status EmitFlattenedSoftmax(NodeScope& node, int64_t axis) {
  const Shape& x = node.shape(0);
  int64_t rows = 1;
  int64_t columns = 1;
  for (size_t i = 0; i < x.rank(); ++i) {
    (static_cast<int64_t>(i) < axis ? rows : columns) *= x[i];
  }
  // One axis alone carries more than one element: the same as Softmax over that axis.
  if (columns == x[static_cast<size_t>(axis)]) {
    return node.Emit(Op::kSoftmax, AxisAttributes{axis}, x, 1);
  }
  ASSIGN_OR_RETURN(const Shape flat, node.MakeShape({rows, columns}));
  ASSIGN_OR_RETURN(KnownValue * flattened, node.EmitStep("flatten", Op::kReshape, {}, flat, {node.inputs()[0]}));
  ASSIGN_OR_RETURN(KnownValue * result, node.EmitStep("softmax", Op::kSoftmax, AxisAttributes{1}, flat, {flattened}));
  return node.EmitLast(Op::kReshape, {}, x, {result});
}

}  // namespace

absl::Status NormalizeUnary(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  return node.Emit(UnaryOf(node.op_type()), {}, node.shape(0), 1);
}

absl::Status NormalizeLeakyRelu(NodeScope& node) { return EmitWithFloats(node, Op::kLeakyRelu, "alpha", 0.01F, 0); }

absl::Status NormalizeHardSigmoid(NodeScope& node) {
  ASSIGN_OR_RETURN(const float beta, node.Float("beta", 0.5F));
  return EmitWithFloats(node, Op::kHardSigmoid, "alpha", 0.2F, beta);
}

absl::Status NormalizeClip(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  FloatAttributes attributes = {std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()};
  if (node.opset() < 11) {
    ASSIGN_OR_RETURN(attributes.alpha, node.Float("min", attributes.alpha));
    ASSIGN_OR_RETURN(attributes.beta, node.Float("max", attributes.beta));
  } else {
    if (node.has_input(1)) {
      ASSIGN_OR_RETURN(attributes.alpha, node.ConstantFloat(1));
    }
    if (node.has_input(2)) {
      ASSIGN_OR_RETURN(attributes.beta, node.ConstantFloat(2));
    }
  }
  return node.Emit(Op::kClip, attributes, node.shape(0), 1);
}

absl::Status NormalizeSoftmax(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", node.opset() < 13 ? 1 : -1));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, x.rank()));
  if (x.num_elements() == 0) {
    return node.Invalid("its input has no elements");
  }
  if (node.opset() < 13) {
    return EmitFlattenedSoftmax(node, axis);
  }
  return node.Emit(Op::kSoftmax, AxisAttributes{axis}, x, 1);
}

absl::Status NormalizeBinary(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  absl::StatusOr<Shape> shape = BroadcastShape(node.shape(0), node.shape(1));
  if (!shape.ok()) {
    return node.Invalid(std::string(shape.status().message()));
  }
  return node.Emit(BinaryOf(node.op_type()), {}, *std::move(shape), 2);
}

}  // namespace shoji::graph::onnx_io
