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

// Reshape, Transpose, Slice, Concat, and the four arithmetic operators.
bool CanEvaluate(Op op);

// `op` of `inputs` (at least one), with the attributes and the output `shape` that a normalizer computed. The caller
// has checked the size of `shape`. INVALID_ARGUMENT: inputs of different types, a type without arithmetic, division by
// zero.
absl::StatusOr<Tensor> Evaluate(Op op, const Attributes& attributes, const std::vector<const Tensor*>& inputs,
                                const Shape& shape);

// Elements of `data` along `axis` picked by `indices` (each in range, not negative). `shape` is the output's.
Tensor Gather(const Tensor& data, const std::vector<int64_t>& indices, size_t axis, const Shape& shape);

}  // namespace shoji::graph::onnx_io
