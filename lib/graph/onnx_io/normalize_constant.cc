// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that make constants, casts, and operators that change nothing.

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/tensor_proto.h"

namespace shoji::graph::onnx_io {
namespace {

absl::StatusOr<Shape> Vector(const NodeScope& node, size_t length) {
  return node.MakeShape({static_cast<int64_t>(length)});
}

template <typename To, typename From>
absl::StatusOr<Tensor> Convert(const NodeScope& node, const Tensor& in) {
  Tensor out(DataTypeOf<To>(), in.shape());
  const std::span<const From> from = in.values<From>();
  const std::span<To> to = out.mutable_values<To>();
  for (size_t i = 0; i < from.size(); ++i) {
    if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
      // Exact in float32: the first number that is too large, and the last that is small enough.
      constexpr float kTooLarge = -static_cast<float>(std::numeric_limits<To>::min());
      const bool fits =
          std::is_signed_v<To> ? from[i] >= -kTooLarge && from[i] < kTooLarge : from[i] > -1.0F && from[i] < 256.0F;
      if (!fits) {
        return node.Invalid("a constant does not fit in the type it is cast to");
      }
    }
    to[i] = static_cast<To>(from[i]);  // NOLINT(bugprone-signed-char-misuse): int8 keeps its sign.
  }
  return out;
}

template <typename From>
Tensor ToBooleans(const Tensor& in) {
  Tensor out(DataType::kUint8, in.shape());
  const std::span<const From> from = in.values<From>();
  for (size_t i = 0; i < from.size(); ++i) {
    out.mutable_values<uint8_t>()[i] = from[i] != From{0} ? 1 : 0;
  }
  return out;
}

template <typename From>
absl::StatusOr<Tensor> ConvertFrom(const NodeScope& node, const Tensor& in, int64_t to) {
  switch (to) {
    case ::onnx::TensorProto::FLOAT:
    case ::onnx::TensorProto::FLOAT16:
    case ::onnx::TensorProto::BFLOAT16:
    case ::onnx::TensorProto::DOUBLE:
      return Convert<float, From>(node, in);
    case ::onnx::TensorProto::INT32:
      return Convert<int32_t, From>(node, in);
    case ::onnx::TensorProto::INT64:
      return Convert<int64_t, From>(node, in);
    case ::onnx::TensorProto::INT8:
      return Convert<int8_t, From>(node, in);
    case ::onnx::TensorProto::UINT8:
      return Convert<uint8_t, From>(node, in);
    case ::onnx::TensorProto::BOOL:
      return ToBooleans<From>(in);
    default:
      return node.Unimplemented("a cast to type " + std::to_string(to) + " is not supported");
  }
}

absl::StatusOr<Tensor> ConvertTo(const NodeScope& node, const Tensor& in, int64_t to) {
  switch (in.type()) {
    case DataType::kFloat32:
      return ConvertFrom<float>(node, in, to);
    case DataType::kInt32:
      return ConvertFrom<int32_t>(node, in, to);
    case DataType::kInt64:
      return ConvertFrom<int64_t>(node, in, to);
    case DataType::kUint8:
      return ConvertFrom<uint8_t>(node, in, to);
    case DataType::kInt8:
      return ConvertFrom<int8_t>(node, in, to);
  }
  return node.Unimplemented("casts of this type are not supported");
}

// Floats of every width are float32 in a graph.
bool IsFloat(int64_t onnx_type) { return onnx_type <= INT32_MAX && BecomesFloat32(static_cast<int32_t>(onnx_type)); }

absl::Status EmitCast(NodeScope& node, int64_t to) {
  if (KnownValue& value = *node.inputs()[0]; value.quantized != nullptr) {
    // Whole numbers are what they mean; of others nobody asks.
    if (!IsFloat(to) || value.quantized->step.scale != 1 || value.quantized->step.zero_point != 0) {
      return node.Unimplemented("a cast of quantized values is not supported");
    }
    if (value.quantized->zero_point != nullptr) {
      ASSIGN_OR_RETURN(KnownValue * zero_point, node.RealsOf(*value.quantized->zero_point));
      return node.LastBinary(Op::kAdd, value.quantized->reals, zero_point);
    }
    return node.EmitReals(value);
  }
  if (node.input(0).constant == nullptr) {
    return IsFloat(to) ? node.Alias() : node.Unimplemented("only constants can be cast to another type");
  }
  if (IsFloat(to) && node.input(0).type == DataType::kFloat32) {
    return node.Alias();
  }
  RETURN_IF_ERROR(node.CheckFoldable(node.shape(0), DataType::kInt64));
  ASSIGN_OR_RETURN(Tensor tensor, ConvertTo(node, *node.input(0).constant, to));
  return node.Define(std::move(tensor));
}

}  // namespace

absl::Status NormalizeConstant(NodeScope& node) {
  if (node.has_tensor("value")) {
    return node.Define(node.TakeTensor("value"));
  }
  if (node.has_attribute("value_int")) {
    ASSIGN_OR_RETURN(const int64_t value, node.Int("value_int", 0));
    return node.Define(Tensor::Of<int64_t>(Shape(), std::span(&value, 1)));
  }
  if (node.has_attribute("value_float")) {
    ASSIGN_OR_RETURN(const float value, node.Float("value_float", 0));
    return node.Define(Tensor::Of<float>(Shape(), std::span(&value, 1)));
  }
  if (node.has_attribute("value_ints")) {
    ASSIGN_OR_RETURN(const std::vector<int64_t> values, node.Ints("value_ints", {}));
    ASSIGN_OR_RETURN(Shape shape, Vector(node, values.size()));
    return node.Define(Tensor::Of<int64_t>(std::move(shape), values));
  }
  if (node.has_attribute("value_floats")) {
    ASSIGN_OR_RETURN(const std::vector<float> values, node.Floats("value_floats"));
    ASSIGN_OR_RETURN(Shape shape, Vector(node, values.size()));
    return node.Define(Tensor::Of<float>(std::move(shape), values));
  }
  return node.Unimplemented("a constant of this kind is not supported");
}

absl::Status NormalizeConstantOfShape(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(std::vector<int64_t> dims, node.ConstantInts(0));
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  const Tensor value = node.has_tensor("value") ? node.TakeTensor("value") : Tensor(DataType::kFloat32, Shape({1}));
  if (value.num_elements() != 1) {
    return node.Invalid("attribute `value` must hold one element");
  }
  RETURN_IF_ERROR(node.CheckFoldable(shape, value.type()));
  Tensor filled(value.type(), std::move(shape));
  const size_t size = SizeOf(value.type());
  for (size_t i = 0; i < filled.num_elements(); ++i) {
    std::memcpy(filled.mutable_bytes().data() + i * size, value.bytes().data(), size);
  }
  return node.Define(std::move(filled));
}

absl::Status NormalizeShape(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const std::vector<int64_t>& dims = node.shape(0).dims();
  const auto rank = static_cast<int64_t>(dims.size());
  ASSIGN_OR_RETURN(int64_t start, node.Int("start", 0));
  ASSIGN_OR_RETURN(int64_t end, node.Int("end", rank));
  const auto clamp = [rank](int64_t at) {
    at = at < 0 ? std::max<int64_t>(at, -rank) + rank : at;
    return std::min(at, rank);
  };
  start = clamp(start);
  end = std::max(start, clamp(end));
  const std::vector<int64_t> values(dims.begin() + start, dims.begin() + end);
  ASSIGN_OR_RETURN(Shape shape, Vector(node, values.size()));
  return node.Define(Tensor::Of<int64_t>(std::move(shape), values));
}

absl::Status NormalizeSize(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const auto size = static_cast<int64_t>(node.shape(0).num_elements());
  return node.Define(Tensor::Of<int64_t>(Shape(), std::span(&size, 1)));
}

// Of constants alone, as in a table of positions.
absl::Status NormalizeSineCosine(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const KnownValue& x = node.input(0);
  if (x.constant == nullptr || x.type != DataType::kFloat32) {
    return node.Unimplemented("the operator is supported on constants of float32 only");
  }
  RETURN_IF_ERROR(node.CheckFoldable(x.shape, DataType::kFloat32));
  Tensor out(DataType::kFloat32, x.shape);
  const bool sine = node.op_type() == "Sin";
  std::transform(x.constant->values<float>().begin(), x.constant->values<float>().end(),
                 out.mutable_values<float>().begin(),
                 [sine](float value) { return sine ? std::sin(value) : std::cos(value); });
  return node.Define(std::move(out));
}

absl::Status NormalizeRange(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(3));
  if (node.input(0).type == DataType::kFloat32) {
    return node.Unimplemented("ranges of integers are supported");
  }
  int64_t bounds[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    ASSIGN_OR_RETURN(const std::vector<int64_t> values, node.ConstantInts(i));
    if (values.size() != 1) {
      return node.Invalid("input " + std::to_string(i) + " must be one integer");
    }
    bounds[i] = values[0];
  }
  const auto [start, limit, delta] = bounds;
  const auto is_large = [](int64_t value) { return value < -Shape::kMaxElements || value > Shape::kMaxElements; };
  if (delta == 0 || is_large(start) || is_large(limit) || is_large(delta)) {
    return node.Invalid("a range from " + std::to_string(start) + " to " + std::to_string(limit) + " by " +
                        std::to_string(delta));
  }
  const int64_t span = delta > 0 ? limit - start : start - limit;
  const int64_t step = delta > 0 ? delta : -delta;
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape({std::max<int64_t>(0, (span + step - 1) / step)}));
  RETURN_IF_ERROR(node.CheckFoldable(shape, DataType::kInt64));
  Tensor values(DataType::kInt64, std::move(shape));
  int64_t next = start;
  for (int64_t& value : values.mutable_values<int64_t>()) {
    value = next;
    next += delta;
  }
  if (node.input(0).type == DataType::kInt64) {
    return node.Define(std::move(values));
  }
  ASSIGN_OR_RETURN(Tensor narrow, (Convert<int32_t, int64_t>(node, values)));
  return node.Define(std::move(narrow));
}

absl::Status NormalizeCast(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(const int64_t to, node.Int("to", 0));
  node.Ignore("saturate");  // of float8 types, which are not supported
  return EmitCast(node, to);
}

absl::Status NormalizeCastLike(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  node.Ignore("saturate");
  switch (node.input(1).type) {
    case DataType::kFloat32:
      return EmitCast(node, ::onnx::TensorProto::FLOAT);
    case DataType::kInt32:
      return EmitCast(node, ::onnx::TensorProto::INT32);
    case DataType::kInt64:
      return EmitCast(node, ::onnx::TensorProto::INT64);
    case DataType::kUint8:
    case DataType::kInt8:
      break;
  }
  return node.Unimplemented("casts to float32, int32 and int64 are supported");
}

absl::Status NormalizePassThrough(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  node.Ignore("ratio");
  node.Ignore("seed");
  if (node.op_type() == "Dropout" && node.has_input(2)) {
    const KnownValue& training = node.input(2);
    if (training.constant == nullptr || training.type != DataType::kUint8 || training.constant->num_elements() != 1 ||
        training.constant->values<uint8_t>()[0] != 0) {
      return node.Unimplemented("training mode is not supported");
    }
  }
  return node.Alias();
}

}  // namespace shoji::graph::onnx_io
