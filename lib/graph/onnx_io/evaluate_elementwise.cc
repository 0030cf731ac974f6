// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/evaluate.h"

namespace shoji::graph::onnx_io {
namespace {

template <typename T>
absl::StatusOr<T> Apply(Op op, T a, T b) {
  // Integers wrap, as they do in other runtimes; unsigned arithmetic makes that defined.
  using U = typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>, std::type_identity<T>>::type;
  switch (op) {
    case Op::kAdd:
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    case Op::kSub:
      return static_cast<T>(static_cast<U>(a) - static_cast<U>(b));
    case Op::kMul:
      return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
    case Op::kMax:
      return std::max(a, b);
    case Op::kMin:
      return std::min(a, b);
    case Op::kPow:
      return static_cast<T>(std::pow(static_cast<double>(a), static_cast<double>(b)));
    default:
      break;
  }
  if constexpr (std::is_integral_v<T>) {
    if (b == 0 || (a == std::numeric_limits<T>::min() && b == -1)) {
      return absl::InvalidArgumentError("a division of constants has no result");
    }
  }
  return static_cast<T>(a / b);
}

template <typename T>
absl::StatusOr<Tensor> EvaluateBinary(Op op, const Tensor& a, const Tensor& b, const Shape& shape) {
  const Tensor left = BroadcastTo(a, shape);
  const Tensor right = BroadcastTo(b, shape);
  Tensor out(DataTypeOf<T>(), shape);
  const std::span<T> values = out.mutable_values<T>();
  for (size_t i = 0; i < values.size(); ++i) {
    ASSIGN_OR_RETURN(values[i], Apply<T>(op, left.values<T>()[i], right.values<T>()[i]));
  }
  return out;
}

// Row-major strides of the output under the axes of the input: 0 along those that are reduced.
std::vector<int64_t> OutputStrides(const Shape& in, const std::vector<int64_t>& axes) {
  std::vector<int64_t> strides(in.rank(), 0);
  int64_t stride = 1;
  for (size_t i = in.rank(); i-- > 0;) {
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) == axes.end()) {
      strides[i] = stride;
      stride *= in[i];
    }
  }
  return strides;
}

template <typename T>
absl::StatusOr<T> Combine(Reduction reduction, T a, T b) {
  switch (reduction) {
    case Reduction::kSum:
    case Reduction::kMean:
      return Apply<T>(Op::kAdd, a, b);
    case Reduction::kMax:
      return std::max(a, b);
    case Reduction::kMin:
      return std::min(a, b);
    case Reduction::kProduct:
      return Apply<T>(Op::kMul, a, b);
  }
  return a;
}

template <typename T>
absl::StatusOr<Tensor> ReduceOf(Reduction reduction, const Tensor& in, const std::vector<int64_t>& axes,
                                const Shape& shape) {
  const std::vector<int64_t> strides = OutputStrides(in.shape(), axes);
  Tensor out(DataTypeOf<T>(), shape);
  std::vector<bool> begun(out.num_elements(), false);
  std::vector<int64_t> index(in.shape().rank(), 0);
  size_t at = 0;
  for (const T value : in.values<T>()) {
    T& result = out.mutable_values<T>()[at];
    if (begun[at]) {
      ASSIGN_OR_RETURN(result, Combine<T>(reduction, result, value));
    } else {
      result = value;
      begun[at] = true;
    }
    for (size_t axis = index.size(); axis-- > 0;) {
      at += static_cast<size_t>(strides[axis]);
      if (++index[axis] < in.shape()[axis]) {
        break;
      }
      at -= static_cast<size_t>(strides[axis] * in.shape()[axis]);
      index[axis] = 0;
    }
  }
  if (reduction == Reduction::kMean) {
    const auto num_terms = in.num_elements() / out.num_elements();
    const auto terms = static_cast<T>(num_terms);
    for (T& value : out.mutable_values<T>()) {
      value = static_cast<T>(value / terms);
    }
  }
  return out;
}

double Function(Op op, const FloatAttributes& a, double x) {
  const auto alpha = static_cast<double>(a.alpha);
  const auto beta = static_cast<double>(a.beta);
  switch (op) {
    case Op::kRelu:
      return std::max(x, 0.0);
    case Op::kClip:
      return std::min(std::max(x, alpha), beta);
    case Op::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Op::kTanh:
      return std::tanh(x);
    case Op::kSoftplus:
      return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
    case Op::kErf:
      return std::erf(x);
    case Op::kAbs:
      return std::abs(x);
    case Op::kNeg:
      return -x;
    case Op::kExp:
      return std::exp(x);
    case Op::kLog:
      return std::log(x);
    case Op::kSqrt:
      return std::sqrt(x);
    case Op::kReciprocal:
      return 1 / x;
    case Op::kFloor:
      return std::floor(x);
    case Op::kCeil:
      return std::ceil(x);
    case Op::kRound:
      return std::nearbyint(x);
    case Op::kSign:
      return x > 0 ? 1 : x < 0 ? -1 : x;
    default:
      return x;
  }
}

}  // namespace

bool IsFunction(Op op) {
  switch (op) {
    case Op::kRelu:
    case Op::kClip:
    case Op::kSigmoid:
    case Op::kTanh:
    case Op::kSoftplus:
    case Op::kErf:
    case Op::kAbs:
    case Op::kNeg:
    case Op::kExp:
    case Op::kLog:
    case Op::kSqrt:
    case Op::kReciprocal:
    case Op::kFloor:
    case Op::kCeil:
    case Op::kRound:
    case Op::kSign:
      return true;
    default:
      return false;
  }
}

Tensor EvaluateFunction(Op op, const Attributes& attributes, const Tensor& in) {
  const auto* given = std::get_if<FloatAttributes>(&attributes);
  const FloatAttributes factors = given == nullptr ? FloatAttributes() : *given;
  Tensor out(DataType::kFloat32, in.shape());
  const std::span<const float> from = in.values<float>();
  const std::span<float> to = out.mutable_values<float>();
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = static_cast<float>(Function(op, factors, static_cast<double>(from[i])));
  }
  return out;
}

absl::StatusOr<Tensor> EvaluateArithmetic(Op op, const Tensor& a, const Tensor& b, const Shape& shape) {
  switch (a.type()) {
    case DataType::kFloat32:
      return EvaluateBinary<float>(op, a, b, shape);
    case DataType::kInt64:
      return EvaluateBinary<int64_t>(op, a, b, shape);
    case DataType::kInt32:
      return EvaluateBinary<int32_t>(op, a, b, shape);
    case DataType::kInt8:
    case DataType::kUint8:
      break;
  }
  return absl::InvalidArgumentError("arithmetic on constants of this type is not supported");
}

absl::StatusOr<Tensor> Reduce(Reduction reduction, const Tensor& in, const std::vector<int64_t>& axes,
                              const Shape& shape) {
  if (in.num_elements() == 0 || shape.num_elements() == 0) {
    return absl::InvalidArgumentError("it reduces a constant without elements");
  }
  switch (in.type()) {
    case DataType::kFloat32:
      return ReduceOf<float>(reduction, in, axes, shape);
    case DataType::kInt64:
      return ReduceOf<int64_t>(reduction, in, axes, shape);
    case DataType::kInt32:
      return ReduceOf<int32_t>(reduction, in, axes, shape);
    case DataType::kInt8:
    case DataType::kUint8:
      break;
  }
  return absl::InvalidArgumentError("reducing constants of this type is not supported");
}

}  // namespace shoji::graph::onnx_io
