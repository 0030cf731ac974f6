// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators of several operands that broadcast to each other.

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/broadcast.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

Op BinaryOf(const std::string& op_type) {
  if (op_type == "Sub") {
    return Op::kSub;
  }
  if (op_type == "Mul") {
    return Op::kMul;
  }
  return op_type == "Div" ? Op::kDiv : Op::kAdd;
}

// `op` of all inputs but the last, from the left.
absl::StatusOr<KnownValue*> StepAllButLast(NodeScope& node, Op op) {
  KnownValue* sum = node.inputs()[0];
  for (size_t i = 1; i + 1 < node.num_inputs(); ++i) {
    ASSIGN_OR_RETURN(sum, node.StepBinary("operand" + std::to_string(i), op, sum, node.inputs()[i]));
  }
  return sum;
}

// `op` of all inputs, from the left.
absl::Status EmitAll(NodeScope& node, Op op) {
  RETURN_IF_ERROR(node.RequireInputs(std::max<size_t>(1, node.num_inputs())));
  if (node.num_inputs() == 1) {
    return node.Alias();
  }
  ASSIGN_OR_RETURN(KnownValue * rest, StepAllButLast(node, op));
  return node.LastBinary(op, rest, node.inputs().back());
}

bool IsNumber(const KnownValue& value) {
  return value.type == DataType::kFloat32 && value.constant != nullptr && value.constant->num_elements() == 1;
}

// Max or Min of `value` and the number `bound` as a Clip, which the layer before can do; nothing where `bound` is none.
std::optional<FloatAttributes> BoundOf(const NodeScope& node, const KnownValue& value, const KnownValue& bound) {
  if (!IsNumber(bound) || value.type != DataType::kFloat32 || bound.shape.rank() > value.shape.rank()) {
    return std::nullopt;
  }
  FloatAttributes attributes = {std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()};
  (node.op_type() == "Max" ? attributes.alpha : attributes.beta) = bound.constant->values<float>()[0];
  return attributes;
}

// The single number of a constant, whatever its type.
absl::StatusOr<float> Number(const NodeScope& node, size_t i) {
  if (node.input(i).type == DataType::kFloat32) {
    return node.ConstantFloat(i);
  }
  ASSIGN_OR_RETURN(const std::vector<int64_t> values, node.ConstantInts(i));
  return static_cast<float>(values[0]);
}

absl::Status EmitConstantPower(NodeScope& node, float exponent) {
  KnownValue* x = node.inputs()[0];
  if (exponent == 1) {
    return node.Alias();
  }
  if (exponent == 2) {
    return node.LastBinary(Op::kMul, x, x);
  }
  if (exponent == 3) {
    ASSIGN_OR_RETURN(KnownValue * square, node.StepBinary("square", Op::kMul, x, x));
    return node.LastBinary(Op::kMul, square, x);
  }
  if (exponent == 0.5F) {
    return node.EmitLast(Op::kSqrt, {}, x->shape, {x});
  }
  if (exponent == -1) {
    return node.EmitLast(Op::kReciprocal, {}, x->shape, {x});
  }
  if (node.input(1).type == DataType::kFloat32) {
    return node.LastBinary(Op::kPow, x, node.inputs()[1]);
  }
  ASSIGN_OR_RETURN(KnownValue * constant, node.NewScalar("exponent", exponent));
  return node.LastBinary(Op::kPow, x, constant);
}

}  // namespace

absl::Status NormalizeBinary(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  return node.LastBinary(BinaryOf(node.op_type()), node.inputs()[0], node.inputs()[1]);
}

absl::Status NormalizeSum(NodeScope& node) { return EmitAll(node, Op::kAdd); }

absl::Status NormalizeMean(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(std::max<size_t>(1, node.num_inputs())));
  if (node.num_inputs() == 1) {
    return node.Alias();
  }
  ASSIGN_OR_RETURN(KnownValue * rest, StepAllButLast(node, Op::kAdd));
  ASSIGN_OR_RETURN(KnownValue * sum, node.StepBinary("sum", Op::kAdd, rest, node.inputs().back()));
  ASSIGN_OR_RETURN(KnownValue * factor, node.NewScalar("factor", 1 / static_cast<float>(node.num_inputs())));
  return node.LastBinary(Op::kMul, sum, factor);
}

absl::Status NormalizeMaxMin(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(std::max<size_t>(1, node.num_inputs())));
  if (node.num_inputs() == 1) {
    return node.Alias();
  }
  const Op op = node.op_type() == "Max" ? Op::kMax : Op::kMin;
  KnownValue* a = node.inputs()[0];
  for (size_t i = 1; i < node.num_inputs(); ++i) {
    KnownValue* b = node.inputs()[i];
    std::optional<FloatAttributes> bound = BoundOf(node, *a, *b);
    if (!bound.has_value() && (bound = BoundOf(node, *b, *a)).has_value()) {
      std::swap(a, b);
    }
    const std::string suffix = "operand" + std::to_string(i);
    const bool is_last = i + 1 == node.num_inputs();
    if (is_last) {
      return bound.has_value() ? node.EmitLast(Op::kClip, *bound, a->shape, {a}) : node.LastBinary(op, a, b);
    }
    ASSIGN_OR_RETURN(
        a, bound.has_value() ? node.StepUnary(suffix, Op::kClip, a, *bound) : node.StepBinary(suffix, op, a, b));
  }
  return absl::OkStatus();
}

absl::Status NormalizePow(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  if (node.IsScalar(1) && node.shape(1).rank() <= node.shape(0).rank() && node.input(0).type == DataType::kFloat32) {
    ASSIGN_OR_RETURN(const float exponent, Number(node, 1));
    return EmitConstantPower(node, exponent);
  }
  return node.LastBinary(Op::kPow, node.inputs()[0], node.inputs()[1]);
}

absl::Status NormalizePRelu(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  const Shape& x = node.shape(0);
  const absl::StatusOr<Shape> shape = BroadcastShape(x, node.shape(1));
  if (!shape.ok() || !(*shape == x)) {
    return node.Invalid("a slope of shape " + node.shape(1).ToString() + " does not fit an input of shape " +
                        x.ToString());
  }
  if (IsNumber(node.input(1))) {
    ASSIGN_OR_RETURN(const float slope, node.ConstantFloat(1));
    return node.EmitLast(Op::kLeakyRelu, FloatAttributes{slope, 0}, x, {node.inputs()[0]});
  }
  return node.LastBinary(Op::kPRelu, node.inputs()[0], node.inputs()[1]);
}

}  // namespace shoji::graph::onnx_io
