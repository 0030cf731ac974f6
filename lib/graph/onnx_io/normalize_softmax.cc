// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Softmax and LogSoftmax: over one axis since operator set 13, before it over the input flattened into two dimensions.

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

// The shape to work in, and the axis in it.
struct Domain {
  Shape shape;
  int64_t axis = 0;
};

absl::StatusOr<Domain> DomainOf(const NodeScope& node, int64_t opset) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  const Shape& x = node.shape(0);
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", opset < 13 ? 1 : -1));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, x.rank()));
  if (x.num_elements() == 0) {
    return node.Invalid("its input has no elements");
  }
  int64_t rows = 1;
  int64_t columns = 1;
  for (size_t i = 0; i < x.rank(); ++i) {
    (static_cast<int64_t>(i) < axis ? rows : columns) *= x[i];
  }
  // One axis alone carries more than one element: the same as over that axis.
  if (opset >= 13 || columns == x[static_cast<size_t>(axis)]) {
    return Domain{x, axis};
  }
  ASSIGN_OR_RETURN(Shape flat, node.MakeShape({rows, columns}));
  return Domain{std::move(flat), 1};
}

// The input in the shape of `domain`.
absl::StatusOr<KnownValue*> Enter(NodeScope& node, const Domain& domain) {
  if (domain.shape == node.shape(0)) {
    return node.inputs()[0];
  }
  return node.EmitStep("flatten", Op::kReshape, {}, domain.shape, {node.inputs()[0]});
}

}  // namespace

absl::Status NormalizeSoftmax(NodeScope& node) { return EmitSoftmax(node, node.opset()); }

absl::Status EmitSoftmax(NodeScope& node, int64_t opset) {
  ASSIGN_OR_RETURN(const Domain domain, DomainOf(node, opset));
  ASSIGN_OR_RETURN(KnownValue * x, Enter(node, domain));
  if (domain.shape == node.shape(0)) {
    return node.EmitLast(Op::kSoftmax, AxisAttributes{domain.axis}, domain.shape, {x});
  }
  ASSIGN_OR_RETURN(KnownValue * result,
                   node.EmitStep("softmax", Op::kSoftmax, AxisAttributes{domain.axis}, domain.shape, {x}));
  return node.EmitLast(Op::kReshape, {}, node.shape(0), {result});
}

// (x - max) - log(sum(e^(x - max))): the logarithm of a Softmax that has become 0 would be lost.
absl::Status NormalizeLogSoftmax(NodeScope& node) {
  ASSIGN_OR_RETURN(const Domain domain, DomainOf(node, node.opset()));
  ASSIGN_OR_RETURN(KnownValue * x, Enter(node, domain));
  ASSIGN_OR_RETURN(KnownValue * max, StepMax(node, "max", x, {domain.axis}));
  ASSIGN_OR_RETURN(KnownValue * shifted, node.StepBinary("shifted", Op::kSub, x, max));
  ASSIGN_OR_RETURN(KnownValue * exp, node.StepUnary("exp", Op::kExp, shifted));
  ASSIGN_OR_RETURN(KnownValue * sum, StepSum(node, "sum", exp, {domain.axis}));
  ASSIGN_OR_RETURN(KnownValue * log, node.StepUnary("log", Op::kLog, sum));
  if (domain.shape == node.shape(0)) {
    return node.LastBinary(Op::kSub, shifted, log);
  }
  ASSIGN_OR_RETURN(KnownValue * result, node.StepBinary("result", Op::kSub, shifted, log));
  return node.EmitLast(Op::kReshape, {}, node.shape(0), {result});
}

}  // namespace shoji::graph::onnx_io
