// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that exist only in constant sub-graphs, and those that change nothing.

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/evaluate.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/tensor_proto.h"
#include "lib/graph/onnx_io/text.h"

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
      // 2^31 and 2^63 are exact in float32.
      const float limit = sizeof(To) == 4 ? 0x1p31F : 0x1p63F;
      if (!(from[i] >= -limit && from[i] < limit)) {
        return node.Invalid("a constant does not fit in the type it is cast to");
      }
    }
    to[i] = static_cast<To>(from[i]);  // NOLINT(bugprone-signed-char-misuse): int8 keeps its sign.
  }
  return out;
}

template <typename From>
absl::StatusOr<Tensor> ConvertFrom(const NodeScope& node, const Tensor& in, int64_t to) {
  switch (to) {
    case ::onnx::TensorProto::FLOAT:
      return Convert<float, From>(node, in);
    case ::onnx::TensorProto::INT32:
      return Convert<int32_t, From>(node, in);
    case ::onnx::TensorProto::INT64:
      return Convert<int64_t, From>(node, in);
    default:
      return node.Unimplemented("casts to float32, int32 and int64 are supported");
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

}  // namespace

absl::Status NormalizeConstant(NodeScope& node) {
  if (const ::onnx::TensorProto* tensor = node.TensorAttribute("value")) {
    return node.Define(ToTensor(*tensor));
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
  const ::onnx::TensorProto* proto = node.TensorAttribute("value");
  const Tensor value = proto == nullptr ? Tensor(DataType::kFloat32, Shape({1})) : ToTensor(*proto);
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

absl::Status NormalizeGather(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  if (node.input(0).constant == nullptr) {
    return node.Unimplemented("only constants can be gathered from");
  }
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", 0));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, node.shape(0).rank()));
  ASSIGN_OR_RETURN(std::vector<int64_t> indices, node.ConstantInts(1));
  const int64_t extent = node.shape(0)[static_cast<size_t>(axis)];
  for (int64_t& index : indices) {
    if (index < -extent || index >= extent) {
      return node.Invalid("index " + std::to_string(index) + " is out of range");
    }
    index += index < 0 ? extent : 0;
  }
  std::vector<int64_t> dims = node.shape(0).dims();
  dims.erase(dims.begin() + axis);
  dims.insert(dims.begin() + axis, node.shape(1).dims().begin(), node.shape(1).dims().end());
  ASSIGN_OR_RETURN(const Shape shape, node.MakeShape(std::move(dims)));
  RETURN_IF_ERROR(node.CheckFoldable(shape, node.input(0).type));
  return node.Define(Gather(*node.input(0).constant, indices, static_cast<size_t>(axis), shape));
}

absl::Status NormalizeCast(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(const int64_t to, node.Int("to", 0));
  if (node.input(0).constant == nullptr) {
    return to == ::onnx::TensorProto::FLOAT ? node.Alias()
                                            : node.Unimplemented("only constants can be cast to another type");
  }
  RETURN_IF_ERROR(node.CheckFoldable(node.shape(0), DataType::kInt64));
  ASSIGN_OR_RETURN(Tensor tensor, ConvertTo(node, *node.input(0).constant, to));
  return node.Define(std::move(tensor));
}

absl::Status NormalizePassThrough(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
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
