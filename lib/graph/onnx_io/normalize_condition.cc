// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Comparisons, logic, selection and remainders, all of constants: exporters write them into shape arithmetic. Booleans
// are uint8.

#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/broadcast.h"
#include "lib/graph/onnx_io/evaluate.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

// The first `count` inputs, which must be constants, repeated to the shape that they broadcast to.
absl::StatusOr<std::vector<Tensor>> Operands(const NodeScope& node, size_t count) {
  RETURN_IF_ERROR(node.RequireInputs(count));
  Shape shape;
  for (size_t i = 0; i < count; ++i) {
    if (node.input(i).constant == nullptr) {
      return node.Unimplemented("the operator is supported on constants only");
    }
    absl::StatusOr<Shape> both = BroadcastShape(shape, node.shape(i));
    if (!both.ok()) {
      return node.Invalid(std::string(both.status().message()));
    }
    shape = *std::move(both);
  }
  std::vector<Tensor> operands;
  for (size_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(node.CheckFoldable(shape, node.input(i).type));
    operands.push_back(BroadcastTo(*node.input(i).constant, shape));
  }
  return operands;
}

template <typename T>
Tensor Compare(const std::string& op_type, const Tensor& a, const Tensor& b) {
  Tensor out(DataType::kUint8, a.shape());
  const std::span<const T> left = a.values<T>();
  const std::span<const T> right = b.values<T>();
  const std::span<uint8_t> to = out.mutable_values<uint8_t>();
  for (size_t i = 0; i < to.size(); ++i) {
    const bool less = left[i] < right[i];
    const bool equal = left[i] == right[i];
    const bool greater = left[i] > right[i];
    const bool result = op_type == "Equal"         ? equal
                        : op_type == "Less"        ? less
                        : op_type == "LessOrEqual" ? less || equal
                        : op_type == "Greater"     ? greater
                                                   : greater || equal;
    to[i] = result ? 1 : 0;
  }
  return out;
}

// The remainder of a division, which has the divisor's sign, or as in C the dividend's. None: division by 0.
enum class SignOf { kDivisor, kDividend };
std::optional<int64_t> Remainder(int64_t a, int64_t b, SignOf sign) {
  if (b == 0) {
    return std::nullopt;
  }
  if (b == -1) {
    return 0;  // the one that would overflow as well
  }
  const int64_t rest = a % b;
  return sign == SignOf::kDivisor && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

template <typename T>
absl::StatusOr<Tensor> Remainders(const NodeScope& node, SignOf sign, const Tensor& a, const Tensor& b) {
  Tensor out(DataTypeOf<T>(), a.shape());
  const std::span<T> to = out.mutable_values<T>();
  for (size_t i = 0; i < to.size(); ++i) {
    const std::optional<int64_t> rest = Remainder(a.values<T>()[i], b.values<T>()[i], sign);
    if (!rest.has_value()) {
      return node.Invalid("a division of constants has no result");
    }
    to[i] = static_cast<T>(*rest);
  }
  return out;
}

absl::Status RequireBooleans(const NodeScope& node, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (node.input(i).type != DataType::kUint8) {
      return node.Invalid("input " + std::to_string(i) + " must hold booleans");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status NormalizeCompare(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::vector<Tensor> operands, Operands(node, 2));
  const Tensor& a = operands[0];
  const Tensor& b = operands[1];
  if (a.type() != b.type()) {
    return node.Invalid("its inputs have different types");
  }
  switch (a.type()) {
    case DataType::kFloat32:
      return node.Define(Compare<float>(node.op_type(), a, b));
    case DataType::kInt64:
      return node.Define(Compare<int64_t>(node.op_type(), a, b));
    case DataType::kInt32:
      return node.Define(Compare<int32_t>(node.op_type(), a, b));
    case DataType::kUint8:
      return node.Define(Compare<uint8_t>(node.op_type(), a, b));
    case DataType::kInt8:
      return node.Define(Compare<int8_t>(node.op_type(), a, b));
  }
  return node.Unimplemented("constants of this type cannot be compared");
}

absl::Status NormalizeLogic(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::vector<Tensor> operands, Operands(node, 2));
  RETURN_IF_ERROR(RequireBooleans(node, 2));
  Tensor out(DataType::kUint8, operands[0].shape());
  const std::span<uint8_t> to = out.mutable_values<uint8_t>();
  for (size_t i = 0; i < to.size(); ++i) {
    const bool a = operands[0].values<uint8_t>()[i] != 0;
    const bool b = operands[1].values<uint8_t>()[i] != 0;
    const bool result = node.op_type() == "And" ? a && b : node.op_type() == "Or" ? a || b : a != b;
    to[i] = result ? 1 : 0;
  }
  return node.Define(std::move(out));
}

absl::Status NormalizeNot(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::vector<Tensor> operands, Operands(node, 1));
  RETURN_IF_ERROR(RequireBooleans(node, 1));
  Tensor out(DataType::kUint8, operands[0].shape());
  const std::span<uint8_t> to = out.mutable_values<uint8_t>();
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = operands[0].values<uint8_t>()[i] == 0 ? 1 : 0;
  }
  return node.Define(std::move(out));
}

absl::Status NormalizeMod(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::vector<Tensor> operands, Operands(node, 2));
  const Tensor& a = operands[0];
  const Tensor& b = operands[1];
  ASSIGN_OR_RETURN(const int64_t as_in_c, node.Int("fmod", 0));
  const SignOf sign = as_in_c == 0 ? SignOf::kDivisor : SignOf::kDividend;
  if (a.type() != b.type()) {
    return node.Invalid("its inputs have different types");
  }
  if (a.type() == DataType::kInt64) {
    ASSIGN_OR_RETURN(Tensor rest, Remainders<int64_t>(node, sign, a, b));
    return node.Define(std::move(rest));
  }
  if (a.type() == DataType::kInt32) {
    ASSIGN_OR_RETURN(Tensor rest, Remainders<int32_t>(node, sign, a, b));
    return node.Define(std::move(rest));
  }
  if (a.type() != DataType::kFloat32 || sign == SignOf::kDivisor) {
    return node.Unimplemented("remainders of this type are not supported");
  }
  Tensor rest(DataType::kFloat32, a.shape());
  for (size_t i = 0; i < rest.num_elements(); ++i) {
    rest.mutable_values<float>()[i] = std::fmod(a.values<float>()[i], b.values<float>()[i]);
  }
  return node.Define(std::move(rest));
}

absl::Status NormalizeWhere(NodeScope& node) {
  ASSIGN_OR_RETURN(const std::vector<Tensor> operands, Operands(node, 3));
  RETURN_IF_ERROR(RequireBooleans(node, 1));
  if (operands[1].type() != operands[2].type()) {
    return node.Invalid("its inputs have different types");
  }
  Tensor out = operands[2].Clone();
  const size_t size = SizeOf(out.type());
  for (size_t i = 0; i < out.num_elements(); ++i) {
    if (operands[0].values<uint8_t>()[i] != 0) {
      std::memcpy(out.mutable_bytes().data() + i * size, operands[1].bytes().data() + i * size, size);
    }
  }
  return node.Define(std::move(out));
}

}  // namespace shoji::graph::onnx_io
