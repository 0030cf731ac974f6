// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Models whose weights are integers and whose activations are quantized by scales that each picture gives
// (DynamicQuantizeLinear), as onnxruntime's quantize_dynamic writes them. Integers stand in the graph as the whole
// numbers in float32 that they are, less their zero point: products of those are what the file's integers give, and
// their sums are exact up to 2^24. What its optimizer makes of such nodes is taken apart again.

#include <limits>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/broadcast.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

constexpr float kMaxByte = 255;
// What a picture of zeros divides by.
constexpr float kSmallestScale = 1e-37F;

absl::StatusOr<KnownValue*> AtLeast(NodeScope& node, const std::string& suffix, KnownValue* x, float low) {
  return node.StepUnary(suffix, Op::kClip, x, FloatAttributes{low, std::numeric_limits<float>::max()});
}

// The largest element of `x`, or 0, in a shape of ones.
absl::StatusOr<KnownValue*> Largest(NodeScope& node, const std::string& suffix, KnownValue* x) {
  std::vector<int64_t> axes;
  for (size_t i = 0; i < x->shape.rank(); ++i) {
    axes.push_back(static_cast<int64_t>(i));
  }
  KnownValue* largest = x;
  if (!axes.empty()) {
    ASSIGN_OR_RETURN(largest, StepMax(node, suffix, x, axes));
  }
  return AtLeast(node, suffix + "_or_zero", largest, 0);
}

// What DynamicQuantizeLinear makes of a value, but for the last step: the integers less their zero point are the
// smaller ones of `raised` and `highest`. Scale and zero point have a shape of ones.
struct DynamicIntegers {
  KnownValue* scale = nullptr;
  KnownValue* zero_point = nullptr;
  KnownValue* raised = nullptr;
  KnownValue* highest = nullptr;
};

absl::StatusOr<DynamicIntegers> QuantizeDynamically(NodeScope& node, KnownValue* x) {
  if (x->type != DataType::kFloat32) {
    return node.Invalid("it quantizes " + Quoted(x->name) + ", which must be float32");
  }
  if (x->constant != nullptr) {
    return node.Unimplemented("an operator of constants alone is not supported");
  }
  DynamicIntegers out;
  ASSIGN_OR_RETURN(KnownValue * high, Largest(node, "max", x));
  ASSIGN_OR_RETURN(KnownValue * negated, node.StepUnary("negated", Op::kNeg, x));
  ASSIGN_OR_RETURN(KnownValue * low, Largest(node, "min", negated));  // of the other sign
  ASSIGN_OR_RETURN(KnownValue * range, node.StepBinary("range", Op::kAdd, high, low));
  ASSIGN_OR_RETURN(KnownValue * steps, node.NewScalar("steps", kMaxByte));
  ASSIGN_OR_RETURN(KnownValue * scale, node.StepBinary("step", Op::kDiv, range, steps));
  ASSIGN_OR_RETURN(out.scale, AtLeast(node, "scale", scale, kSmallestScale));
  ASSIGN_OR_RETURN(KnownValue * zero, node.StepBinary("zero", Op::kDiv, low, out.scale));
  ASSIGN_OR_RETURN(KnownValue * clipped, node.StepUnary("zero_clipped", Op::kClip, zero, FloatAttributes{0, kMaxByte}));
  ASSIGN_OR_RETURN(out.zero_point, node.StepUnary("zero_point", Op::kRound, clipped));
  ASSIGN_OR_RETURN(KnownValue * quotient, node.StepBinary("quotient", Op::kDiv, x, out.scale));
  ASSIGN_OR_RETURN(KnownValue * rounded, node.StepUnary("rounded", Op::kRound, quotient));
  ASSIGN_OR_RETURN(KnownValue * lowest, node.StepUnary("lowest", Op::kNeg, out.zero_point));
  ASSIGN_OR_RETURN(out.raised, node.StepBinary("raised", Op::kMax, rounded, lowest));
  ASSIGN_OR_RETURN(KnownValue * largest, node.NewScalar("largest", kMaxByte));
  ASSIGN_OR_RETURN(out.highest, node.StepBinary("highest", Op::kSub, largest, out.zero_point));
  return out;
}

// The constant zero points that are input `at`; 0 when absent.
absl::StatusOr<std::vector<int32_t>> ConstantZeroPoints(const NodeScope& node, size_t at) {
  if (!node.has_input(at)) {
    return std::vector<int32_t>{0};
  }
  const KnownValue& value = node.input(at);
  if (value.constant == nullptr) {
    return node.Unimplemented("its zero point " + Quoted(value.name) + " is not that of the value it goes with");
  }
  std::vector<int32_t> out;
  if (value.type == DataType::kUint8) {
    const std::span<const uint8_t> values = value.constant->values<uint8_t>();
    out.assign(values.begin(), values.end());
  } else if (value.type == DataType::kInt8) {
    const std::span<const int8_t> values = value.constant->values<int8_t>();
    out.assign(values.begin(), values.end());
  }
  if (out.empty()) {
    return node.Invalid("its zero point " + Quoted(value.name) + " must be integers of 8 bits");
  }
  return out;
}

// Constant integers as numbers.
absl::StatusOr<KnownValue*> ConstantIntegers(NodeScope& node, const std::string& suffix, const KnownValue& value,
                                             const std::vector<int32_t>& zero_points, int64_t axis) {
  const Shape& shape = value.shape;
  size_t inner = 1;
  if (zero_points.size() != 1) {
    ASSIGN_OR_RETURN(axis, node.Axis(axis, shape.rank()));
    if (static_cast<int64_t>(zero_points.size()) != shape[static_cast<size_t>(axis)]) {
      return node.Invalid(std::to_string(zero_points.size()) + " zero points do not fit axis " + std::to_string(axis) +
                          " of shape " + shape.ToString());
    }
    for (size_t i = static_cast<size_t>(axis) + 1; i < shape.rank(); ++i) {
      inner *= static_cast<size_t>(shape[i]);
    }
  }
  if (value.type != DataType::kUint8 && value.type != DataType::kInt8) {
    return node.Invalid("input " + Quoted(value.name) + " must hold integers of 8 bits");
  }
  RETURN_IF_ERROR(node.CheckFoldable(shape, DataType::kFloat32));
  Tensor out(DataType::kFloat32, shape);
  const std::span<float> to = out.mutable_values<float>();
  for (size_t i = 0; i < to.size(); ++i) {
    const int32_t integer = value.type == DataType::kUint8 ? int32_t{value.constant->values<uint8_t>()[i]}
                                                           : int32_t{value.constant->values<int8_t>()[i]};
    to[i] = static_cast<float>(integer - zero_points[zero_points.size() == 1 ? 0 : i / inner % zero_points.size()]);
  }
  return node.NewConstant(suffix, std::move(out));
}

// An activation that a constant scale has quantized: reals / scale + its own zero point, less the one given here.
absl::StatusOr<KnownValue*> StaticIntegers(NodeScope& node, const std::string& suffix, KnownValue& value,
                                           const std::vector<int32_t>& zero_points) {
  if (zero_points.size() != 1) {
    return node.Unimplemented("an activation with a zero point for each row is not supported");
  }
  const FakeQuantizeAttributes step = value.quantized->step;
  ASSIGN_OR_RETURN(KnownValue * out, node.RealsOf(value));
  if (step.scale != 1) {
    ASSIGN_OR_RETURN(KnownValue * scale, node.NewScalar(suffix + "_scale", step.scale));
    ASSIGN_OR_RETURN(KnownValue * quotient, node.StepBinary(suffix + "_quotient", Op::kDiv, out, scale));
    ASSIGN_OR_RETURN(out, node.StepUnary(suffix + "_steps", Op::kRound, quotient));
  }
  const int64_t shift = int64_t{step.zero_point} - zero_points[0];
  if (shift == 0) {
    return out;
  }
  ASSIGN_OR_RETURN(KnownValue * offset, node.NewScalar(suffix + "_offset", static_cast<float>(shift)));
  return node.StepBinary(suffix, Op::kAdd, out, offset);
}

// Operand `at` of an operator on integers, whose zero point is input `zero_point`: as numbers less the zero point.
absl::StatusOr<KnownValue*> Integers(NodeScope& node, const std::string& suffix, size_t at, size_t zero_point,
                                     int64_t axis) {
  KnownValue& value = *node.inputs()[at];
  if (value.quantized != nullptr && value.quantized->zero_point != nullptr) {
    if (!node.has_input(zero_point) || node.inputs()[zero_point] != value.quantized->zero_point) {
      return node.Unimplemented("reads " + Quoted(value.name) + " without the zero point that it was quantized with");
    }
    return value.quantized->reals;
  }
  ASSIGN_OR_RETURN(const std::vector<int32_t> zero_points, ConstantZeroPoints(node, zero_point));
  if (value.constant != nullptr) {
    return ConstantIntegers(node, suffix, value, zero_points, axis);
  }
  if (value.quantized == nullptr) {
    return node.Unimplemented("reads " + Quoted(value.name) + ", which is not quantized");
  }
  return StaticIntegers(node, suffix, value, zero_points);
}

// left * right * (left_scale * right_scale) + bias, the products of integers; `bias` may be null.
absl::Status EmitScaledProduct(NodeScope& node, std::vector<KnownValue*> operands, KnownValue* left_scale,
                               KnownValue* right_scale, KnownValue* bias) {
  NodeScope product = node.WithInputs(std::move(operands));
  ASSIGN_OR_RETURN(KnownValue * sums, StepMatMul(product, "sums"));
  ASSIGN_OR_RETURN(KnownValue * scale, node.StepBinary("factor", Op::kMul, left_scale, right_scale));
  for (const KnownValue* operand : {scale, bias}) {
    if (operand == nullptr) {
      continue;
    }
    const absl::StatusOr<Shape> shape = BroadcastShape(sums->shape, operand->shape);
    if (!shape.ok() || !(*shape == sums->shape)) {
      return node.Invalid("a scale or bias of shape " + operand->shape.ToString() + " does not fit a product of " +
                          sums->shape.ToString());
    }
  }
  if (bias == nullptr) {
    return node.LastBinary(Op::kMul, sums, scale);
  }
  ASSIGN_OR_RETURN(KnownValue * scaled, node.StepBinary("scaled", Op::kMul, sums, scale));
  return node.LastBinary(Op::kAdd, scaled, bias);
}

}  // namespace

absl::Status NormalizeDynamicQuantizeLinear(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  if (node.num_outputs() != 3) {
    return node.Invalid("it makes three outputs");
  }
  ASSIGN_OR_RETURN(const DynamicIntegers integers, QuantizeDynamically(node, node.inputs()[0]));
  RETURN_IF_ERROR(node.EmitOutput(1, Op::kReshape, {}, Shape(), {integers.scale}));
  RETURN_IF_ERROR(node.EmitOutput(2, Op::kReshape, {}, Shape(), {integers.zero_point}));
  RETURN_IF_ERROR(node.LastBinary(Op::kMin, integers.raised, integers.highest));
  if (!node.HasOutput(2)) {
    return node.Invalid("its zero point is left out");
  }
  QuantizedForm form = {.step = {1, 0, 0, 255}};
  form.zero_point = node.MarkOutput(2, form);
  (void)node.MarkOutput(0, form);
  return absl::OkStatus();
}

absl::Status DequantizeDynamic(NodeScope& node) {
  const QuantizedForm& form = *node.input(0).quantized;
  if (!node.has_input(2) || node.inputs()[2] != form.zero_point || node.input(1).type != DataType::kFloat32) {
    return node.Unimplemented("reads " + Quoted(node.input(0).name) +
                              " without the zero point that it was quantized with");
  }
  return node.LastBinary(Op::kMul, form.reals, node.inputs()[1]);
}

absl::Status NormalizeMatMulInteger(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  std::vector<KnownValue*> inputs(2);
  ASSIGN_OR_RETURN(inputs[0], Integers(node, "left", 0, 2, -2));
  ASSIGN_OR_RETURN(inputs[1], Integers(node, "right", 1, 3, -1));
  NodeScope twin = node.WithInputs(std::move(inputs));
  RETURN_IF_ERROR(NormalizeMatMul(twin));
  return node.MarkQuantized({.step = kSums});
}

absl::Status NormalizeConvInteger(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  std::vector<KnownValue*> inputs(2);
  ASSIGN_OR_RETURN(inputs[0], Integers(node, "input", 0, 2, 1));
  ASSIGN_OR_RETURN(inputs[1], Integers(node, "weights", 1, 3, 0));
  NodeScope twin = node.WithInputs(std::move(inputs));
  RETURN_IF_ERROR(NormalizeConv(twin));
  return node.MarkQuantized({.step = kSums});
}

// Inputs: A, B, their scales, their zero points, and a bias.
absl::Status NormalizeMatMulIntegerToFloat(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(4));
  std::vector<KnownValue*> operands(2);
  ASSIGN_OR_RETURN(operands[0], Integers(node, "left", 0, 4, -2));
  ASSIGN_OR_RETURN(operands[1], Integers(node, "right", 1, 5, -1));
  return EmitScaledProduct(node, std::move(operands), node.inputs()[2], node.inputs()[3],
                           node.has_input(6) ? node.inputs()[6] : nullptr);
}

// Inputs: A, which is float32, B, its scale, its zero point, and a bias.
absl::Status NormalizeDynamicQuantizeMatMul(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(3));
  ASSIGN_OR_RETURN(const DynamicIntegers left, QuantizeDynamically(node, node.inputs()[0]));
  std::vector<KnownValue*> operands(2);
  ASSIGN_OR_RETURN(operands[0], node.StepBinary("left", Op::kMin, left.raised, left.highest));
  ASSIGN_OR_RETURN(operands[1], Integers(node, "right", 1, 3, -1));
  return EmitScaledProduct(node, std::move(operands), left.scale, node.inputs()[2],
                           node.has_input(4) ? node.inputs()[4] : nullptr);
}

}  // namespace shoji::graph::onnx_io
