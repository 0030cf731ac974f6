// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Constant folding: operators on tensors that the file itself holds, shape arithmetic above all.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/tensor/tensor.h"

namespace shoji::graph::onnx_io {

// Whether Evaluate knows `op` of constants of `type`: what moves elements, arithmetic, and functions of one float.
bool CanEvaluate(Op op, DataType type);

// `op` of `inputs` (at least one), with the attributes and the output `shape` that a normalizer computed. The caller
// has checked the size of `shape`. INVALID_ARGUMENT: inputs of different types, a type without arithmetic, division by
// zero.
absl::StatusOr<Tensor> Evaluate(Op op, const Attributes& attributes, const std::vector<const Tensor*>& inputs,
                                const Shape& shape);

// Elements of `data` along `axis` picked by `indices` (each in range, not negative). `shape` is the output's.
Tensor Gather(const Tensor& data, const std::vector<int64_t>& indices, size_t axis, const Shape& shape);

// `in` repeated to `shape`, which it broadcasts to.
Tensor BroadcastTo(const Tensor& in, const Shape& shape);

// The parts of Evaluate in evaluate_elementwise.cc: a function of each element of a float32 tensor, and the operators of
// two operands.
bool IsFunction(Op op);
Tensor EvaluateFunction(Op op, const Attributes& attributes, const Tensor& in);
absl::StatusOr<Tensor> EvaluateArithmetic(Op op, const Tensor& a, const Tensor& b, const Shape& shape);

// What a reduction of a constant computes.
enum class Reduction { kSum, kMean, kMax, kMin, kProduct };
// INVALID_ARGUMENT: a type without arithmetic, or nothing to reduce.
absl::StatusOr<Tensor> Reduce(Reduction reduction, const Tensor& in, const std::vector<int64_t>& axes,
                              const Shape& shape);

}  // namespace shoji::graph::onnx_io
