// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that reduce over axes.

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/evaluate.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

bool Contains(const std::vector<int64_t>& axes, size_t axis) {
  return std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
}

// `x` without the axes, or with 1 in their place.
absl::StatusOr<Shape> Reduced(const NodeScope& node, const Shape& x, const ReduceAttributes& attributes) {
  std::vector<int64_t> dims;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (!Contains(attributes.axes, i)) {
      dims.push_back(x[i]);
    } else if (attributes.keep_dims) {
      dims.push_back(1);
    }
  }
  return node.MakeShape(std::move(dims));
}

// Elements of `x` that one of the result is made of.
float CountOf(const Shape& x, const std::vector<int64_t>& axes) {
  double count = 1;
  for (const int64_t axis : axes) {
    count *= static_cast<double>(x[static_cast<size_t>(axis)]);
  }
  return static_cast<float>(count);
}

// The axes are an attribute before operator set 18 (of ReduceSum: 13), and an input since. None: all, or, where the
// node says so, no reduction.
absl::StatusOr<std::vector<int64_t>> AxesOf(const NodeScope& node) {
  const size_t rank = node.shape(0).rank();
  std::vector<int64_t> axes;
  if (node.opset() < (node.op_type() == "ReduceSum" ? 13 : 18)) {
    ASSIGN_OR_RETURN(axes, node.Ints("axes", {}));
  } else if (node.has_input(1)) {
    ASSIGN_OR_RETURN(axes, node.ConstantInts(1));
  }
  ASSIGN_OR_RETURN(const int64_t noop, node.Int("noop_with_empty_axes", 0));
  if (axes.empty() && noop == 0) {
    axes.resize(rank);
    std::iota(axes.begin(), axes.end(), int64_t{0});
  }
  return node.Axes(std::move(axes), rank);
}

absl::Status EmitMax(NodeScope& node, KnownValue* x, const ReduceAttributes& attributes, const Shape& shape) {
  return node.EmitLast(Op::kReduceMax, attributes, shape, {x});
}

// The sum of `x`, then `last` of it where there is one.
absl::Status EmitSum(NodeScope& node, KnownValue* x, const ReduceAttributes& attributes, const Shape& shape,
                     std::optional<Op> last) {
  ASSIGN_OR_RETURN(KnownValue * mean, node.EmitStep("mean", Op::kReduceMean, attributes, shape, {x}));
  ASSIGN_OR_RETURN(KnownValue * count, node.NewScalar("count", CountOf(x->shape, attributes.axes)));
  if (!last.has_value()) {
    return node.LastBinary(Op::kMul, mean, count);
  }
  ASSIGN_OR_RETURN(KnownValue * sum, node.StepBinary("sum", Op::kMul, mean, count));
  return node.EmitLast(*last, {}, shape, {sum});
}

// max + log(sum(e^(x - max))).
absl::Status EmitLogSumExp(NodeScope& node, KnownValue* x, const ReduceAttributes& attributes, const Shape& shape) {
  ASSIGN_OR_RETURN(KnownValue * max, StepMax(node, "max", x, attributes.axes));
  ASSIGN_OR_RETURN(KnownValue * shifted, node.StepBinary("shifted", Op::kSub, x, max));
  ASSIGN_OR_RETURN(KnownValue * exp, node.StepUnary("exp", Op::kExp, shifted));
  ASSIGN_OR_RETURN(KnownValue * sum, StepSum(node, "sum", exp, attributes.axes));
  ASSIGN_OR_RETURN(KnownValue * log, node.StepUnary("log", Op::kLog, sum));
  if (shape == log->shape) {
    return node.LastBinary(Op::kAdd, max, log);
  }
  ASSIGN_OR_RETURN(KnownValue * result, node.StepBinary("result", Op::kAdd, max, log));
  return node.EmitLast(Op::kReshape, {}, shape, {result});
}

absl::Status EmitMin(NodeScope& node, KnownValue* x, const ReduceAttributes& attributes, const Shape& shape) {
  ASSIGN_OR_RETURN(KnownValue * negated, node.StepUnary("negated", Op::kNeg, x));
  ASSIGN_OR_RETURN(KnownValue * max, node.EmitStep("max", Op::kReduceMax, attributes, shape, {negated}));
  return node.EmitLast(Op::kNeg, {}, shape, {max});
}

absl::Status EmitReduction(NodeScope& node, const ReduceAttributes& attributes, const Shape& shape) {
  const std::string& op = node.op_type();
  KnownValue* x = node.inputs()[0];
  if (op == "ReduceMean") {
    return node.EmitLast(Op::kReduceMean, attributes, shape, {x});
  }
  if (op == "ReduceMax") {
    return EmitMax(node, x, attributes, shape);
  }
  if (op == "ReduceMin") {
    return EmitMin(node, x, attributes, shape);
  }
  if (op == "ReduceSum") {
    return EmitSum(node, x, attributes, shape, std::nullopt);
  }
  if (op == "ReduceLogSum") {
    return EmitSum(node, x, attributes, shape, Op::kLog);
  }
  if (op == "ReduceLogSumExp") {
    return EmitLogSumExp(node, x, attributes, shape);
  }
  if (op == "ReduceL1") {
    ASSIGN_OR_RETURN(KnownValue * magnitude, node.StepUnary("abs", Op::kAbs, x));
    return EmitSum(node, magnitude, attributes, shape, std::nullopt);
  }
  if (op == "ReduceL2" || op == "ReduceSumSquare") {
    ASSIGN_OR_RETURN(KnownValue * square, node.StepBinary("square", Op::kMul, x, x));
    return EmitSum(node, square, attributes, shape, op == "ReduceL2" ? std::optional(Op::kSqrt) : std::nullopt);
  }
  return node.Unimplemented("the operator is supported on constants only");
}

std::optional<Reduction> ReductionOf(const std::string& op_type) {
  if (op_type == "ReduceSum") {
    return Reduction::kSum;
  }
  if (op_type == "ReduceMean") {
    return Reduction::kMean;
  }
  if (op_type == "ReduceMax") {
    return Reduction::kMax;
  }
  if (op_type == "ReduceMin") {
    return Reduction::kMin;
  }
  return op_type == "ReduceProd" ? std::optional(Reduction::kProduct) : std::nullopt;
}

}  // namespace

absl::StatusOr<KnownValue*> StepMean(NodeScope& node, const std::string& suffix, KnownValue* x,
                                     const std::vector<int64_t>& axes) {
  const ReduceAttributes attributes = {axes, true};
  ASSIGN_OR_RETURN(const Shape shape, Reduced(node, x->shape, attributes));
  return node.EmitStep(suffix, Op::kReduceMean, attributes, shape, {x});
}

absl::StatusOr<KnownValue*> StepSum(NodeScope& node, const std::string& suffix, KnownValue* x,
                                    const std::vector<int64_t>& axes) {
  ASSIGN_OR_RETURN(KnownValue * mean, StepMean(node, suffix + "_mean", x, axes));
  ASSIGN_OR_RETURN(KnownValue * count, node.NewScalar(suffix + "_count", CountOf(x->shape, axes)));
  return node.StepBinary(suffix, Op::kMul, mean, count);
}

absl::StatusOr<KnownValue*> StepMax(NodeScope& node, const std::string& suffix, KnownValue* x,
                                    const std::vector<int64_t>& axes) {
  const ReduceAttributes attributes = {axes, true};
  ASSIGN_OR_RETURN(const Shape shape, Reduced(node, x->shape, attributes));
  return node.EmitStep(suffix, Op::kReduceMax, attributes, shape, {x});
}

absl::Status NormalizeReduce(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ReduceAttributes attributes;
  ASSIGN_OR_RETURN(attributes.axes, AxesOf(node));
  ASSIGN_OR_RETURN(const int64_t keep_dims, node.Int("keepdims", 1));
  attributes.keep_dims = keep_dims != 0;
  if (attributes.axes.empty()) {
    return ReductionOf(node.op_type()).has_value() ? node.Alias()
                                                   : node.Unimplemented("a reduction over no axis is not supported");
  }
  ASSIGN_OR_RETURN(const Shape shape, Reduced(node, node.shape(0), attributes));
  const std::optional<Reduction> reduction = ReductionOf(node.op_type());
  if (node.input(0).constant != nullptr && reduction.has_value()) {
    RETURN_IF_ERROR(node.CheckFoldable(shape, node.input(0).type));
    absl::StatusOr<Tensor> folded = Reduce(*reduction, *node.input(0).constant, attributes.axes, shape);
    return folded.ok() ? node.Define(*std::move(folded)) : node.Invalid(std::string(folded.status().message()));
  }
  return EmitReduction(node, attributes, shape);
}

}  // namespace shoji::graph::onnx_io
