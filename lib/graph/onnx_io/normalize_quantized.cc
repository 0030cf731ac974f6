// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Quantized models. The graph computes with the numbers that integers mean: constants are dequantized exactly, and an
// activation between QuantizeLinear and what reads it is a FakeQuantize.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

// Element `i` of a constant of integers.
int32_t IntegerAt(const Tensor& tensor, size_t i) {
  switch (tensor.type()) {
    case DataType::kUint8:
      return tensor.values<uint8_t>()[i];
    case DataType::kInt8:
      return tensor.values<int8_t>()[i];
    case DataType::kInt32:
      return tensor.values<int32_t>()[i];
    case DataType::kFloat32:
    case DataType::kInt64:
      break;
  }
  return 0;
}

// Scale and zero point of a tensor: one for all of it, or one for each position along an axis.
struct Parameters {
  const Tensor* scale = nullptr;
  const Tensor* zero_point = nullptr;  // null: 0

  size_t count() const { return scale->num_elements(); }
  int32_t zero_point_at(size_t i) const { return zero_point == nullptr ? 0 : IntegerAt(*zero_point, i); }
};

// From the inputs `scale` and `zero_point` of the node.
absl::StatusOr<Parameters> ParametersOf(const NodeScope& node, size_t scale, size_t zero_point) {
  Parameters out;
  if (!node.has_input(scale)) {
    return node.Invalid("input " + std::to_string(scale) + " is missing");
  }
  out.scale = node.input(scale).constant.get();
  out.zero_point = node.has_input(zero_point) ? node.input(zero_point).constant.get() : nullptr;
  if (out.scale == nullptr || (node.has_input(zero_point) && out.zero_point == nullptr)) {
    return node.Unimplemented("a scale and a zero point that are not constant are not supported");
  }
  if (out.scale->type() != DataType::kFloat32 || out.count() == 0 ||
      (out.zero_point != nullptr && out.zero_point->num_elements() != out.count())) {
    return node.Invalid("its scale and zero point do not fit each other");
  }
  for (const float value : out.scale->values<float>()) {
    if (!std::isfinite(value) || value <= 0) {
      return node.Invalid("a scale is not above 0");
    }
  }
  if (out.zero_point != nullptr && out.zero_point->type() != DataType::kUint8 &&
      out.zero_point->type() != DataType::kInt8 && out.zero_point->type() != DataType::kInt32) {
    return node.Unimplemented("only 8-bit values and 32-bit constants are supported");
  }
  return out;
}

// A zero point is of the type of the values.
absl::Status CheckZeroPoint(const NodeScope& node, const Parameters& parameters, DataType values) {
  if (parameters.zero_point == nullptr || parameters.zero_point->type() == values) {
    return absl::OkStatus();
  }
  return node.Invalid("its values are " + std::string(NameOf(values)) + ", and their zero point is " +
                      std::string(NameOf(parameters.zero_point->type())));
}

// Which of `count` parameters element `i` of a tensor goes by.
struct ParameterIndex {
  size_t inner = 1;
  size_t count = 1;
  size_t operator()(size_t i) const { return count == 1 ? 0 : i / inner % count; }
};

absl::StatusOr<ParameterIndex> IndexAlong(const NodeScope& node, const Shape& shape, int64_t axis,
                                          const Parameters& parameters) {
  ParameterIndex index;
  index.count = parameters.count();
  if (index.count == 1) {
    return index;
  }
  ASSIGN_OR_RETURN(axis, node.Axis(axis, shape.rank()));
  if (static_cast<int64_t>(index.count) != shape[static_cast<size_t>(axis)]) {
    return node.Invalid(std::to_string(index.count) + " scales do not fit axis " + std::to_string(axis) + " of shape " +
                        shape.ToString());
  }
  for (size_t i = static_cast<size_t>(axis) + 1; i < shape.rank(); ++i) {
    index.inner *= static_cast<size_t>(shape[i]);
  }
  return index;
}

absl::StatusOr<Tensor> Dequantized(const NodeScope& node, const Tensor& tensor, const Parameters& parameters,
                                   int64_t axis) {
  if (tensor.type() == DataType::kFloat32 || tensor.type() == DataType::kInt64) {
    return node.Unimplemented("only 8-bit values and 32-bit constants are supported");
  }
  RETURN_IF_ERROR(CheckZeroPoint(node, parameters, tensor.type()));
  RETURN_IF_ERROR(node.CheckFoldable(tensor.shape(), DataType::kFloat32));
  ASSIGN_OR_RETURN(const ParameterIndex index, IndexAlong(node, tensor.shape(), axis, parameters));
  Tensor out(DataType::kFloat32, tensor.shape());
  const std::span<float> to = out.mutable_values<float>();
  for (size_t i = 0; i < to.size(); ++i) {
    const size_t at = index(i);
    const int64_t steps = int64_t{IntegerAt(tensor, i)} - parameters.zero_point_at(at);
    to[i] = static_cast<float>(steps) * parameters.scale->values<float>()[at];
  }
  return out;
}

template <typename T>
Tensor QuantizedTo(const Tensor& tensor, const Parameters& parameters, const ParameterIndex& index) {
  Tensor out(DataTypeOf<T>(), tensor.shape());
  const std::span<const float> from = tensor.values<float>();
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t at = index(i);
    const float steps = std::nearbyint(from[i] / parameters.scale->values<float>()[at]) +
                        static_cast<float>(parameters.zero_point_at(at));
    constexpr auto kLow = static_cast<float>(std::numeric_limits<T>::min());
    constexpr auto kHigh = static_cast<float>(std::numeric_limits<T>::max());
    out.mutable_values<T>()[i] = static_cast<T>(std::min(std::max(kLow, steps), kHigh));
  }
  return out;
}

// The steps of one activation; it has one scale.
absl::StatusOr<FakeQuantizeAttributes> StepOf(const NodeScope& node, const Parameters& parameters) {
  if (parameters.count() != 1) {
    return node.Unimplemented("an activation with a scale for each channel is not supported");
  }
  const DataType type = parameters.zero_point == nullptr ? DataType::kUint8 : parameters.zero_point->type();
  if (type == DataType::kInt32) {
    return node.Unimplemented("only 8-bit values and 32-bit constants are supported");
  }
  const bool is_signed = type == DataType::kInt8;
  return FakeQuantizeAttributes{parameters.scale->values<float>()[0], parameters.zero_point_at(0), is_signed ? -128 : 0,
                                is_signed ? 127 : 255};
}

// Operand `first` of a quantized operator, which scale and zero point follow: as numbers.
absl::StatusOr<KnownValue*> Operand(NodeScope& node, const std::string& suffix, size_t first, int64_t axis) {
  ASSIGN_OR_RETURN(const Parameters parameters, ParametersOf(node, first + 1, first + 2));
  KnownValue& value = *node.inputs()[first];
  if (value.constant != nullptr) {
    ASSIGN_OR_RETURN(Tensor tensor, Dequantized(node, *value.constant, parameters, axis));
    return node.NewConstant(suffix, std::move(tensor));
  }
  if (value.quantized == nullptr || value.quantized->zero_point != nullptr) {
    return node.Unimplemented("reads " + Quoted(value.name) + ", which is not quantized by a constant scale");
  }
  ASSIGN_OR_RETURN(const FakeQuantizeAttributes step, StepOf(node, parameters));
  if (!(step == value.quantized->step)) {
    return node.Unimplemented("reads " + Quoted(value.name) + " with another scale than it was quantized with");
  }
  return node.RealsOf(value);
}

// A bias of 32 bits, input `at`: its scale is the product of the operands' scales, inputs 1 and 4, and of `factor`.
absl::StatusOr<KnownValue*> Bias(NodeScope& node, size_t at, float factor) {
  const KnownValue& bias = node.input(at);
  if (bias.constant == nullptr || bias.type != DataType::kInt32 || bias.shape.rank() != 1) {
    return node.Unimplemented("its bias must be a constant of 32-bit integers");
  }
  const float input_scale = factor * node.input(1).constant->values<float>()[0];
  const std::span<const float> weight_scales = node.input(4).constant->values<float>();
  if (weight_scales.size() != 1 && weight_scales.size() != bias.constant->num_elements()) {
    return node.Invalid("its scales do not fit its bias");
  }
  Tensor out(DataType::kFloat32, bias.shape);
  for (size_t i = 0; i < out.num_elements(); ++i) {
    const float scale = input_scale * weight_scales[weight_scales.size() == 1 ? 0 : i];
    out.mutable_values<float>()[i] = static_cast<float>(bias.constant->values<int32_t>()[i]) * scale;
  }
  return node.NewConstant("bias", std::move(out));
}

// Ends a quantized operator whose float twin has made the first output: that becomes integers, of the scale that is
// input `scale`; the zero point follows.
absl::Status FinishQuantized(NodeScope& node, NodeScope& twin, size_t scale) {
  ASSIGN_OR_RETURN(const Parameters parameters, ParametersOf(node, scale, scale + 1));
  ASSIGN_OR_RETURN(const FakeQuantizeAttributes step, StepOf(node, parameters));
  return twin.QuantizeOutput(step);
}

}  // namespace

absl::Status NormalizeQuantizeLinear(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(const int64_t axis, node.Int("axis", 1));
  ASSIGN_OR_RETURN(const int64_t block_size, node.Int("block_size", 0));
  node.Ignore("saturate");  // of float8 types, which are not supported
  if (block_size != 0 || node.has_attribute("output_dtype")) {
    return node.Unimplemented("attributes `block_size` and `output_dtype` are not supported");
  }
  ASSIGN_OR_RETURN(const Parameters parameters, ParametersOf(node, 1, 2));
  KnownValue* x = node.inputs()[0];
  if (x->type != DataType::kFloat32) {
    return node.Unimplemented("only float32 can be quantized");
  }
  if (x->constant == nullptr) {
    ASSIGN_OR_RETURN(const FakeQuantizeAttributes step, StepOf(node, parameters));
    return node.DefineQuantized(step, x);
  }
  ASSIGN_OR_RETURN(const ParameterIndex index, IndexAlong(node, x->shape, axis, parameters));
  RETURN_IF_ERROR(node.CheckFoldable(x->shape, DataType::kUint8));
  const bool is_signed = parameters.zero_point != nullptr && parameters.zero_point->type() == DataType::kInt8;
  return node.Define(is_signed ? QuantizedTo<int8_t>(*x->constant, parameters, index)
                               : QuantizedTo<uint8_t>(*x->constant, parameters, index));
}

absl::Status NormalizeDequantizeLinear(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(const int64_t axis, node.Int("axis", 1));
  ASSIGN_OR_RETURN(const int64_t block_size, node.Int("block_size", 0));
  if (block_size != 0) {
    return node.Unimplemented("attribute `block_size` is not supported");
  }
  if (node.input(0).quantized != nullptr && node.input(0).quantized->zero_point != nullptr) {
    return DequantizeDynamic(node);
  }
  ASSIGN_OR_RETURN(const Parameters parameters, ParametersOf(node, 1, 2));
  KnownValue& x = *node.inputs()[0];
  if (x.constant != nullptr) {
    ASSIGN_OR_RETURN(Tensor tensor, Dequantized(node, *x.constant, parameters, axis));
    return node.Define(std::move(tensor));
  }
  if (x.quantized == nullptr) {
    return node.Unimplemented("reads " + Quoted(x.name) + ", which is not quantized");
  }
  RETURN_IF_ERROR(CheckZeroPoint(node, parameters, x.quantized->step.low < 0 ? DataType::kInt8 : DataType::kUint8));
  ASSIGN_OR_RETURN(const FakeQuantizeAttributes step, StepOf(node, parameters));
  if (step == x.quantized->step) {
    return node.EmitReals(x);
  }
  // Read by another scale: (q - zero point) * scale, of q = reals / its own scale + its own zero point.
  const FakeQuantizeAttributes own = x.quantized->step;
  ASSIGN_OR_RETURN(KnownValue * reals, node.RealsOf(x));
  ASSIGN_OR_RETURN(KnownValue * ratio, node.NewScalar("ratio", step.scale / own.scale));
  const int64_t shift = int64_t{own.zero_point} - step.zero_point;
  ASSIGN_OR_RETURN(KnownValue * offset, node.NewScalar("offset", static_cast<float>(shift) * step.scale));
  ASSIGN_OR_RETURN(KnownValue * scaled, node.StepBinary("scaled", Op::kMul, reals, ratio));
  return node.LastBinary(Op::kAdd, scaled, offset);
}

absl::Status NormalizeQLinearConv(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(8));
  std::vector<KnownValue*> inputs(2);
  ASSIGN_OR_RETURN(inputs[0], Operand(node, "input", 0, 0));
  ASSIGN_OR_RETURN(inputs[1], Operand(node, "weights", 3, 0));
  if (node.has_input(8)) {
    ASSIGN_OR_RETURN(KnownValue * bias, Bias(node, 8, 1));
    inputs.push_back(bias);
  }
  NodeScope twin = node.WithInputs(std::move(inputs));
  RETURN_IF_ERROR(NormalizeConv(twin));
  return FinishQuantized(node, twin, 6);
}

absl::Status NormalizeQLinearMatMul(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(8));
  std::vector<KnownValue*> inputs(2);
  ASSIGN_OR_RETURN(inputs[0], Operand(node, "left", 0, -2));
  ASSIGN_OR_RETURN(inputs[1], Operand(node, "right", 3, -1));
  NodeScope twin = node.WithInputs(std::move(inputs));
  RETURN_IF_ERROR(NormalizeMatMul(twin));
  return FinishQuantized(node, twin, 6);
}

// Gemm on integers. Its bias counts in steps of alpha times both scales; without a scale of its own its output is
// float32.
absl::Status NormalizeQGemm(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(const int64_t trans_b, node.Int("transB", 0));
  ASSIGN_OR_RETURN(const float alpha, node.Float("alpha", 1));
  std::vector<KnownValue*> inputs(2);
  ASSIGN_OR_RETURN(inputs[0], Operand(node, "left", 0, 0));
  ASSIGN_OR_RETURN(inputs[1], Operand(node, "right", 3, trans_b != 0 ? 0 : 1));
  if (node.has_input(6)) {
    ASSIGN_OR_RETURN(KnownValue * bias, Bias(node, 6, alpha));
    inputs.push_back(bias);
  }
  NodeScope twin = node.WithInputs(std::move(inputs));
  RETURN_IF_ERROR(NormalizeGemm(twin));
  return node.has_input(7) ? FinishQuantized(node, twin, 7) : absl::OkStatus();
}

absl::Status NormalizeQLinearBinary(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  if (!node.has_input(3)) {
    return node.Invalid("input 3 is missing");
  }
  ASSIGN_OR_RETURN(KnownValue * a, Operand(node, "left", 0, 0));
  ASSIGN_OR_RETURN(KnownValue * b, Operand(node, "right", 3, 0));
  RETURN_IF_ERROR(node.LastBinary(node.op_type() == "QLinearAdd" ? Op::kAdd : Op::kMul, a, b));
  return FinishQuantized(node, node, 6);
}

absl::Status NormalizeQLinearUnary(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(const int64_t channels_last, node.Int("channels_last", 0));
  if (channels_last != 0) {
    return node.Unimplemented("attribute `channels_last` is not supported");
  }
  ASSIGN_OR_RETURN(KnownValue * x, Operand(node, "input", 0, 0));
  NodeScope twin = node.WithInputs({x});
  const std::string& op = node.op_type();
  if (op == "QLinearAveragePool") {
    RETURN_IF_ERROR(NormalizeAveragePool(twin));
  } else if (op == "QLinearGlobalAveragePool") {
    RETURN_IF_ERROR(NormalizeGlobalAveragePool(twin));
  } else if (op == "QLinearLeakyRelu") {
    RETURN_IF_ERROR(NormalizeLeakyRelu(twin));
  } else if (op == "QLinearSoftmax") {
    ASSIGN_OR_RETURN(const int64_t opset, node.Int("opset", node.opset()));
    RETURN_IF_ERROR(EmitSoftmax(twin, opset));
  } else {
    RETURN_IF_ERROR(twin.EmitLast(Op::kSigmoid, {}, x->shape, {x}));
  }
  return FinishQuantized(node, twin, 3);
}

// Its result's scale and zero point come first, then three inputs an operand.
absl::Status NormalizeQLinearConcat(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  std::vector<KnownValue*> inputs;
  for (size_t i = 2; i < node.num_inputs(); i += 3) {
    if (!node.has_input(i)) {
      return node.Invalid("input " + std::to_string(i) + " is missing");
    }
    ASSIGN_OR_RETURN(KnownValue * input, Operand(node, "input" + std::to_string(inputs.size()), i, 0));
    inputs.push_back(input);
  }
  NodeScope twin = node.WithInputs(std::move(inputs));
  RETURN_IF_ERROR(NormalizeConcat(twin));
  return FinishQuantized(node, twin, 0);
}

}  // namespace shoji::graph::onnx_io
