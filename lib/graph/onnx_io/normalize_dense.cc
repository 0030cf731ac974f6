// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Products of matrices.

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/broadcast.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

std::string DoNotFit(const Shape& a, const Shape& b) {
  return "inputs of shapes " + a.ToString() + " and " + b.ToString() + " do not fit";
}

struct GemmPlan {
  GemmAttributes attributes;
  Shape shape;
};

// Inputs: A, B and, if any, C.
absl::StatusOr<GemmPlan> PlanGemm(const NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  GemmPlan plan;
  GemmAttributes& attributes = plan.attributes;
  ASSIGN_OR_RETURN(attributes.alpha, node.Float("alpha", 1));
  ASSIGN_OR_RETURN(attributes.beta, node.Float("beta", 1));
  ASSIGN_OR_RETURN(const int64_t trans_a, node.Int("transA", 0));
  ASSIGN_OR_RETURN(const int64_t trans_b, node.Int("transB", 0));
  attributes.trans_a = trans_a != 0;
  attributes.trans_b = trans_b != 0;
  const Shape& a = node.shape(0);
  const Shape& b = node.shape(1);
  if (a.rank() != 2 || b.rank() != 2 || a[attributes.trans_a ? 0 : 1] != b[attributes.trans_b ? 1 : 0]) {
    return node.Invalid(DoNotFit(a, b));
  }
  ASSIGN_OR_RETURN(plan.shape, node.MakeShape({a[attributes.trans_a ? 1 : 0], b[attributes.trans_b ? 0 : 1]}));
  if (node.has_input(2)) {
    const absl::StatusOr<Shape> sum = BroadcastShape(plan.shape, node.shape(2));
    if (!sum.ok() || !(*sum == plan.shape)) {
      return node.Invalid(DoNotFit(plan.shape, node.shape(2)));
    }
  }
  return plan;
}

absl::StatusOr<Shape> ShapeOfMatMul(const NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  // As numpy.matmul: a vector on the left is a row, on the right a column, and that dimension leaves the result.
  std::vector<int64_t> a = node.shape(0).dims();
  std::vector<int64_t> b = node.shape(1).dims();
  if (a.empty() || b.empty()) {
    return node.Invalid(DoNotFit(node.shape(0), node.shape(1)));
  }
  const bool row = a.size() == 1;
  const bool column = b.size() == 1;
  if (row) {
    a.insert(a.begin(), 1);
  }
  if (column) {
    b.push_back(1);
  }
  if (a.back() != b[b.size() - 2]) {
    return node.Invalid(DoNotFit(node.shape(0), node.shape(1)));
  }
  ASSIGN_OR_RETURN(const Shape batch_a, node.MakeShape({a.begin(), a.end() - 2}));
  ASSIGN_OR_RETURN(const Shape batch_b, node.MakeShape({b.begin(), b.end() - 2}));
  const absl::StatusOr<Shape> batch = BroadcastShape(batch_a, batch_b);
  if (!batch.ok()) {
    return node.Invalid(DoNotFit(node.shape(0), node.shape(1)));
  }
  std::vector<int64_t> dims = batch->dims();
  if (!row) {
    dims.push_back(a[a.size() - 2]);
  }
  if (!column) {
    dims.push_back(b.back());
  }
  return node.MakeShape(std::move(dims));
}

}  // namespace

absl::Status NormalizeGemm(NodeScope& node) {
  ASSIGN_OR_RETURN(GemmPlan plan, PlanGemm(node));
  return node.Emit(Op::kGemm, plan.attributes, std::move(plan.shape), node.has_input(2) ? 3 : 2);
}

absl::StatusOr<KnownValue*> StepGemm(NodeScope& node, const std::string& suffix) {
  ASSIGN_OR_RETURN(GemmPlan plan, PlanGemm(node));
  std::vector<KnownValue*> inputs = node.inputs();
  inputs.resize(node.has_input(2) ? 3 : 2);
  return node.EmitStep(suffix, Op::kGemm, plan.attributes, std::move(plan.shape), inputs);
}

absl::Status NormalizeMatMul(NodeScope& node) {
  ASSIGN_OR_RETURN(Shape shape, ShapeOfMatMul(node));
  return node.Emit(Op::kMatMul, {}, std::move(shape), 2);
}

absl::StatusOr<KnownValue*> StepMatMul(NodeScope& node, const std::string& suffix) {
  ASSIGN_OR_RETURN(Shape shape, ShapeOfMatMul(node));
  return node.EmitStep(suffix, Op::kMatMul, {}, std::move(shape), {node.inputs()[0], node.inputs()[1]});
}

}  // namespace shoji::graph::onnx_io
