// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Normalization by means and variances, those in the file and those of the input at hand.

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"

namespace shoji::graph::onnx_io {
namespace {

constexpr int64_t kMaxRegion = 65536;

// The axes from `first` on.
std::vector<int64_t> AxesFrom(size_t first, size_t rank) {
  std::vector<int64_t> axes(rank - std::min(first, rank));
  std::iota(axes.begin(), axes.end(), static_cast<int64_t>(first));
  return axes;
}

// x less its mean over `axes`.
absl::StatusOr<KnownValue*> StepCentered(NodeScope& node, KnownValue* x, const std::vector<int64_t>& axes) {
  ASSIGN_OR_RETURN(KnownValue * mean, StepMean(node, "mean", x, axes));
  return node.StepBinary("centered", Op::kSub, x, mean);
}

// x by the root of the mean of its squares plus `epsilon`.
absl::StatusOr<KnownValue*> StepScaledToOne(NodeScope& node, KnownValue* x, const std::vector<int64_t>& axes,
                                            float epsilon) {
  ASSIGN_OR_RETURN(KnownValue * square, node.StepBinary("square", Op::kMul, x, x));
  ASSIGN_OR_RETURN(KnownValue * variance, StepMean(node, "variance", square, axes));
  ASSIGN_OR_RETURN(KnownValue * small, node.NewScalar("epsilon", epsilon));
  ASSIGN_OR_RETURN(KnownValue * sum, node.StepBinary("variance_sum", Op::kAdd, variance, small));
  ASSIGN_OR_RETURN(KnownValue * deviation, node.StepUnary("deviation", Op::kSqrt, sum));
  return node.StepBinary("standardized", Op::kDiv, x, deviation);
}

// x less its mean, by the root of its variance plus `epsilon`.
absl::StatusOr<KnownValue*> StepStandardized(NodeScope& node, KnownValue* x, const std::vector<int64_t>& axes,
                                             float epsilon) {
  ASSIGN_OR_RETURN(KnownValue * centered, StepCentered(node, x, axes));
  return StepScaledToOne(node, centered, axes, epsilon);
}

// `value`, one element each of `extent` channels, as it broadcasts over `rank` axes with the channels at `axis`.
absl::StatusOr<KnownValue*> StepAlong(NodeScope& node, const std::string& suffix, KnownValue* value, size_t axis,
                                      size_t rank) {
  std::vector<int64_t> dims(rank - axis, 1);
  dims[0] = static_cast<int64_t>(value->shape.num_elements());
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  return node.EmitStep(suffix, Op::kReshape, {}, std::move(shape), {value});
}

// The last steps: x * scale + bias, of which the bias may be null.
absl::Status EmitScaled(NodeScope& node, KnownValue* x, KnownValue* scale, KnownValue* bias) {
  if (bias == nullptr) {
    return node.LastBinary(Op::kMul, x, scale);
  }
  ASSIGN_OR_RETURN(KnownValue * scaled, node.StepBinary("scaled", Op::kMul, x, scale));
  return node.LastBinary(Op::kAdd, scaled, bias);
}

absl::Status RequireChannels(const NodeScope& node, size_t first, size_t count, int64_t channels) {
  for (size_t i = first; i < first + count; ++i) {
    if (node.shape(i).rank() != 1 || node.shape(i)[0] != channels) {
      return node.Invalid("a parameter of shape " + node.shape(i).ToString() + " does not fit an input of shape " +
                          node.shape(0).ToString());
    }
  }
  return absl::OkStatus();
}

// BatchNormalization with parameters of one element each (spatial = 0): as scale * (x - mean) / deviation + bias.
absl::Status EmitPerElement(NodeScope& node, float epsilon) {
  const std::vector<int64_t>& x = node.shape(0).dims();
  const std::vector<int64_t> element(x.begin() + 1, x.end());
  for (size_t i = 1; i < 5; ++i) {
    if (node.shape(i).dims() != element) {
      return node.Invalid("a parameter of shape " + node.shape(i).ToString() + " does not fit an input of shape " +
                          node.shape(0).ToString());
    }
  }
  const std::vector<KnownValue*>& in = node.inputs();
  ASSIGN_OR_RETURN(KnownValue * small, node.NewScalar("epsilon", epsilon));
  ASSIGN_OR_RETURN(KnownValue * sum, node.StepBinary("variance", Op::kAdd, in[4], small));
  ASSIGN_OR_RETURN(KnownValue * deviation, node.StepUnary("deviation", Op::kSqrt, sum));
  ASSIGN_OR_RETURN(KnownValue * factor, node.StepBinary("factor", Op::kDiv, in[1], deviation));
  ASSIGN_OR_RETURN(KnownValue * centered, node.StepBinary("centered", Op::kSub, in[0], in[3]));
  ASSIGN_OR_RETURN(KnownValue * scaled, node.StepBinary("scaled", Op::kMul, centered, factor));
  return node.LastBinary(Op::kAdd, scaled, in[2]);
}

// GroupNormalization has its parameters one a group before operator set 21, one a channel since.
absl::Status EmitGrouped(NodeScope& node, int64_t groups, KnownValue* standardized) {
  const Shape& x = node.shape(0);
  const bool per_group = node.opset() < 21;
  RETURN_IF_ERROR(RequireChannels(node, 1, 2, per_group ? groups : x[1]));
  if (per_group) {
    ASSIGN_OR_RETURN(KnownValue * scale, StepAlong(node, "scale", node.inputs()[1], 1, 3));
    ASSIGN_OR_RETURN(KnownValue * bias, StepAlong(node, "bias", node.inputs()[2], 1, 3));
    ASSIGN_OR_RETURN(KnownValue * scaled, node.StepBinary("scaled", Op::kMul, standardized, scale));
    ASSIGN_OR_RETURN(KnownValue * sum, node.StepBinary("sum", Op::kAdd, scaled, bias));
    return node.EmitLast(Op::kReshape, {}, x, {sum});
  }
  ASSIGN_OR_RETURN(KnownValue * whole, node.EmitStep("whole", Op::kReshape, {}, x, {standardized}));
  ASSIGN_OR_RETURN(KnownValue * scale, StepAlong(node, "scale", node.inputs()[1], 1, x.rank()));
  ASSIGN_OR_RETURN(KnownValue * bias, StepAlong(node, "bias", node.inputs()[2], 1, x.rank()));
  ASSIGN_OR_RETURN(KnownValue * scaled, node.StepBinary("scaled", Op::kMul, whole, scale));
  return node.LastBinary(Op::kAdd, scaled, bias);
}

}  // namespace

absl::Status NormalizeBatchNorm(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(5));
  ASSIGN_OR_RETURN(const int64_t training_mode, node.Int("training_mode", 0));
  ASSIGN_OR_RETURN(const int64_t spatial, node.Int("spatial", 1));
  node.Ignore("momentum");
  if (training_mode != 0) {
    return node.Unimplemented("training mode is not supported");
  }
  BatchNormAttributes attributes;
  ASSIGN_OR_RETURN(attributes.epsilon, node.Float("epsilon", 1e-5F));
  const Shape& x = node.shape(0);
  if (x.rank() < 2) {
    return node.Invalid("its input has shape " + x.ToString());
  }
  // Some exporters write spatial = 0 and mean one parameter a channel all the same.
  if (spatial != 1 && node.shape(1).rank() != 1) {
    return EmitPerElement(node, attributes.epsilon);
  }
  RETURN_IF_ERROR(RequireChannels(node, 1, 4, x[1]));
  return node.Emit(Op::kBatchNorm, attributes, x, 5);
}

absl::Status NormalizeLrn(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  LrnAttributes attributes;
  ASSIGN_OR_RETURN(attributes.size, node.Int("size", 0));
  ASSIGN_OR_RETURN(attributes.alpha, node.Float("alpha", attributes.alpha));
  ASSIGN_OR_RETURN(attributes.beta, node.Float("beta", attributes.beta));
  ASSIGN_OR_RETURN(attributes.bias, node.Float("bias", attributes.bias));
  if (attributes.size < 1 || attributes.size > kMaxRegion) {
    return node.Invalid("attribute `size`: " + std::to_string(attributes.size) + " is out of range");
  }
  if (node.shape(0).rank() < 2) {
    return node.Invalid("its input has shape " + node.shape(0).ToString());
  }
  return node.Emit(Op::kLrn, attributes, node.shape(0), 1);
}

absl::Status NormalizeInstanceNorm(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(3));
  ASSIGN_OR_RETURN(const float epsilon, node.Float("epsilon", 1e-5F));
  const Shape& x = node.shape(0);
  if (x.rank() < 3) {
    return node.Invalid("its input has shape " + x.ToString());
  }
  RETURN_IF_ERROR(RequireChannels(node, 1, 2, x[1]));
  ASSIGN_OR_RETURN(KnownValue * standardized, StepStandardized(node, node.inputs()[0], AxesFrom(2, x.rank()), epsilon));
  ASSIGN_OR_RETURN(KnownValue * scale, StepAlong(node, "scale", node.inputs()[1], 1, x.rank()));
  ASSIGN_OR_RETURN(KnownValue * bias, StepAlong(node, "bias", node.inputs()[2], 1, x.rank()));
  ASSIGN_OR_RETURN(KnownValue * scaled, node.StepBinary("scaled", Op::kMul, standardized, scale));
  return node.LastBinary(Op::kAdd, scaled, bias);
}

absl::Status NormalizeLayerNorm(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(const float epsilon, node.Float("epsilon", 1e-5F));
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", -1));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, node.shape(0).rank()));
  node.Ignore("stash_type");
  KnownValue* x = node.inputs()[0];
  const std::vector<int64_t> axes = AxesFrom(static_cast<size_t>(axis), x->shape.rank());
  if (node.op_type() == "SimplifiedLayerNormalization") {
    if (node.num_inputs() > 2) {
      return node.Invalid("it has more than two inputs");
    }
    ASSIGN_OR_RETURN(KnownValue * scaled, StepScaledToOne(node, x, axes, epsilon));
    return node.LastBinary(Op::kMul, scaled, node.inputs()[1]);
  }
  ASSIGN_OR_RETURN(KnownValue * standardized, StepStandardized(node, x, axes, epsilon));
  return EmitScaled(node, standardized, node.inputs()[1], node.has_input(2) ? node.inputs()[2] : nullptr);
}

// Inputs: two values, whose sum is normalized over the last axis, a scale, and perhaps a bias of the result and one of
// the sum, which is output 3.
absl::Status NormalizeSkipLayerNorm(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(3));
  ASSIGN_OR_RETURN(const float epsilon, node.Float("epsilon", 1e-12F));
  const Shape& x = node.shape(0);
  if (x.rank() < 2) {
    return node.Invalid("its input has shape " + x.ToString());
  }
  ASSIGN_OR_RETURN(KnownValue * sum, node.StepBinary("sum", Op::kAdd, node.inputs()[0], node.inputs()[1]));
  if (node.has_input(4)) {
    ASSIGN_OR_RETURN(sum, node.StepBinary("sum_bias", Op::kAdd, sum, node.inputs()[4]));
  }
  if (!(sum->shape == x)) {
    return node.Invalid("an input of shape " + x.ToString() + " does not fit a sum of shape " + sum->shape.ToString());
  }
  for (size_t i = 2; i < 4; ++i) {
    RETURN_IF_ERROR(node.has_input(i) ? RequireChannels(node, i, 1, x[x.rank() - 1]) : absl::OkStatus());
  }
  if (node.HasOutput(3)) {
    RETURN_IF_ERROR(node.EmitOutput(3, Op::kReshape, {}, sum->shape, {sum}));
  }
  ASSIGN_OR_RETURN(KnownValue * standardized, StepStandardized(node, sum, AxesFrom(x.rank() - 1, x.rank()), epsilon));
  return EmitScaled(node, standardized, node.inputs()[2], node.has_input(3) ? node.inputs()[3] : nullptr);
}

absl::Status NormalizeGroupNorm(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(3));
  ASSIGN_OR_RETURN(const float epsilon, node.Float("epsilon", 1e-5F));
  ASSIGN_OR_RETURN(const int64_t groups, node.Int("num_groups", 0));
  node.Ignore("stash_type");
  const Shape& x = node.shape(0);
  if (x.rank() < 3 || groups < 1 || x[1] % groups != 0 || x.num_elements() == 0) {
    return node.Invalid(std::to_string(groups) + " groups of an input of shape " + x.ToString());
  }
  const int64_t rest = static_cast<int64_t>(x.num_elements()) / x[0] / groups;
  ASSIGN_OR_RETURN(const Shape grouped, node.MakeShape({x[0], groups, rest}));
  ASSIGN_OR_RETURN(KnownValue * split, node.EmitStep("groups", Op::kReshape, {}, grouped, {node.inputs()[0]}));
  ASSIGN_OR_RETURN(KnownValue * standardized, StepStandardized(node, split, {2}, epsilon));
  return EmitGrouped(node, groups, standardized);
}

absl::Status NormalizeLpNorm(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  KnownValue* x = node.inputs()[0];
  ASSIGN_OR_RETURN(int64_t axis, node.Int("axis", -1));
  ASSIGN_OR_RETURN(axis, node.Axis(axis, x->shape.rank()));
  ASSIGN_OR_RETURN(const int64_t p, node.Int("p", 2));
  if (p != 1 && p != 2) {
    return node.Unimplemented("attribute `p`: norms 1 and 2 are supported");
  }
  ASSIGN_OR_RETURN(KnownValue * magnitude,
                   p == 1 ? node.StepUnary("abs", Op::kAbs, x) : node.StepBinary("square", Op::kMul, x, x));
  ASSIGN_OR_RETURN(KnownValue * norm, StepSum(node, "sum", magnitude, {axis}));
  if (p == 2) {
    ASSIGN_OR_RETURN(norm, node.StepUnary("root", Op::kSqrt, norm));
  }
  // Nothing but zeros stays zeros.
  const FloatAttributes above_zero = {std::numeric_limits<float>::min(), std::numeric_limits<float>::max()};
  ASSIGN_OR_RETURN(norm, node.StepUnary("norm", Op::kClip, norm, above_zero));
  return node.LastBinary(Op::kDiv, x, norm);
}

absl::Status NormalizeMeanVarianceNorm(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  constexpr float kEpsilon = 1e-9F;  // of the operator's definition
  KnownValue* x = node.inputs()[0];
  ASSIGN_OR_RETURN(std::vector<int64_t> axes, node.Ints("axes", {0, 2, 3}));
  ASSIGN_OR_RETURN(axes, node.Axes(std::move(axes), x->shape.rank()));
  if (axes.empty()) {
    return node.Invalid("attribute `axes` is empty");
  }
  ASSIGN_OR_RETURN(KnownValue * centered, StepCentered(node, x, axes));
  ASSIGN_OR_RETURN(KnownValue * square, node.StepBinary("square", Op::kMul, centered, centered));
  ASSIGN_OR_RETURN(KnownValue * variance, StepMean(node, "variance", square, axes));
  ASSIGN_OR_RETURN(KnownValue * deviation, node.StepUnary("deviation", Op::kSqrt, variance));
  ASSIGN_OR_RETURN(KnownValue * small, node.NewScalar("epsilon", kEpsilon));
  ASSIGN_OR_RETURN(KnownValue * divisor, node.StepBinary("divisor", Op::kAdd, deviation, small));
  return node.LastBinary(Op::kDiv, centered, divisor);
}

}  // namespace shoji::graph::onnx_io
