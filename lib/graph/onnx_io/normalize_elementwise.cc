// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Functions of each element.

#include <limits>
#include <string_view>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

struct UnaryEntry {
  std::string_view op_type;
  Op op;
};
constexpr UnaryEntry kUnary[] = {
    {"Abs", Op::kAbs},   {"Ceil", Op::kCeil},         {"Erf", Op::kErf},
    {"Exp", Op::kExp},   {"Floor", Op::kFloor},       {"HardSwish", Op::kHardSwish},
    {"Log", Op::kLog},   {"Neg", Op::kNeg},           {"Reciprocal", Op::kReciprocal},
    {"Relu", Op::kRelu}, {"Round", Op::kRound},       {"Sigmoid", Op::kSigmoid},
    {"Sign", Op::kSign}, {"Softplus", Op::kSoftplus}, {"Softsign", Op::kSoftsign},
    {"Sqrt", Op::kSqrt}, {"Tanh", Op::kTanh},
};

// The defaults of the attributes that become alpha and beta.
struct FloatsSpec {
  const char* alpha = "alpha";
  float absent_alpha = 0;
  const char* beta = nullptr;  // null: none
  float absent_beta = 0;
};

absl::Status EmitWithFloats(NodeScope& node, Op op, const FloatsSpec& spec) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  FloatAttributes attributes;
  ASSIGN_OR_RETURN(attributes.alpha, node.Float(spec.alpha, spec.absent_alpha));
  if (spec.beta != nullptr) {
    ASSIGN_OR_RETURN(attributes.beta, node.Float(spec.beta, spec.absent_beta));
  }
  return node.Emit(op, attributes, node.shape(0), 1);
}

absl::StatusOr<KnownValue*> StepScale(NodeScope& node, const std::string& suffix, KnownValue* x, float factor) {
  ASSIGN_OR_RETURN(KnownValue * constant, node.NewScalar(suffix + "_factor", factor));
  return node.StepBinary(suffix, Op::kMul, x, constant);
}

// 1 + f(y), halved, times x.
absl::Status EmitHalfGate(NodeScope& node, KnownValue* x, KnownValue* gate) {
  ASSIGN_OR_RETURN(KnownValue * one, node.NewScalar("one", 1));
  ASSIGN_OR_RETURN(KnownValue * sum, node.StepBinary("sum", Op::kAdd, gate, one));
  ASSIGN_OR_RETURN(KnownValue * half, StepScale(node, "half", sum, 0.5F));
  return node.LastBinary(Op::kMul, x, half);
}

}  // namespace

absl::Status NormalizeUnary(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  for (const UnaryEntry& entry : kUnary) {
    if (entry.op_type == node.op_type()) {
      return node.Emit(entry.op, {}, node.shape(0), 1);
    }
  }
  return node.Unimplemented("the operator is not supported");
}

absl::Status NormalizeLeakyRelu(NodeScope& node) { return EmitWithFloats(node, Op::kLeakyRelu, {"alpha", 0.01F}); }

absl::Status NormalizeHardSigmoid(NodeScope& node) {
  return EmitWithFloats(node, Op::kHardSigmoid, {"alpha", 0.2F, "beta", 0.5F});
}

absl::Status NormalizeElu(NodeScope& node) { return EmitWithFloats(node, Op::kElu, {"alpha", 1}); }

absl::Status NormalizeSelu(NodeScope& node) {
  return EmitWithFloats(node, Op::kSelu, {"alpha", 1.67326319F, "gamma", 1.05070102F});
}

absl::Status NormalizeThresholdedRelu(NodeScope& node) {
  return EmitWithFloats(node, Op::kThresholdedRelu, {"alpha", 1});
}

// alpha * Elu(x / alpha).
absl::Status NormalizeCelu(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(const float alpha, node.Float("alpha", 1));
  if (alpha == 0) {
    return node.Invalid("attribute `alpha` is 0");
  }
  if (alpha == 1) {
    return node.Emit(Op::kElu, FloatAttributes{1, 0}, node.shape(0), 1);
  }
  ASSIGN_OR_RETURN(KnownValue * scaled, StepScale(node, "scaled", node.inputs()[0], 1 / alpha));
  ASSIGN_OR_RETURN(KnownValue * elu, node.StepUnary("elu", Op::kElu, scaled, FloatAttributes{1, 0}));
  ASSIGN_OR_RETURN(KnownValue * factor, node.NewScalar("alpha", alpha));
  return node.LastBinary(Op::kMul, elu, factor);
}

// x * tanh(log(1 + e^x)).
absl::Status NormalizeMish(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  KnownValue* x = node.inputs()[0];
  ASSIGN_OR_RETURN(KnownValue * softplus, node.StepUnary("softplus", Op::kSoftplus, x));
  ASSIGN_OR_RETURN(KnownValue * tanh, node.StepUnary("tanh", Op::kTanh, softplus));
  return node.LastBinary(Op::kMul, x, tanh);
}

absl::Status NormalizeGelu(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(const std::string approximate, node.String("approximate", "none"));
  KnownValue* x = node.inputs()[0];
  if (approximate == "none") {
    ASSIGN_OR_RETURN(KnownValue * scaled, StepScale(node, "scaled", x, 0.70710678F));
    ASSIGN_OR_RETURN(KnownValue * erf, node.StepUnary("erf", Op::kErf, scaled));
    return EmitHalfGate(node, x, erf);
  }
  if (approximate != "tanh") {
    return node.Invalid("attribute `approximate` is " + Quoted(approximate));
  }
  return EmitTanhGelu(node, x);
}

// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
absl::Status EmitTanhGelu(NodeScope& node, KnownValue* x) {
  ASSIGN_OR_RETURN(KnownValue * square, node.StepBinary("square", Op::kMul, x, x));
  ASSIGN_OR_RETURN(KnownValue * cube, node.StepBinary("cube", Op::kMul, square, x));
  ASSIGN_OR_RETURN(KnownValue * small, StepScale(node, "small", cube, 0.044715F));
  ASSIGN_OR_RETURN(KnownValue * inner, node.StepBinary("inner", Op::kAdd, x, small));
  ASSIGN_OR_RETURN(KnownValue * scaled, StepScale(node, "scaled", inner, 0.79788456F));
  ASSIGN_OR_RETURN(KnownValue * tanh, node.StepUnary("tanh", Op::kTanh, scaled));
  return EmitHalfGate(node, x, tanh);
}

absl::Status NormalizeClip(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  FloatAttributes attributes = {std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()};
  if (node.opset() < 11) {
    ASSIGN_OR_RETURN(attributes.alpha, node.Float("min", attributes.alpha));
    ASSIGN_OR_RETURN(attributes.beta, node.Float("max", attributes.beta));
  } else {
    if (node.has_input(1)) {
      ASSIGN_OR_RETURN(attributes.alpha, node.ConstantFloat(1));
    }
    if (node.has_input(2)) {
      ASSIGN_OR_RETURN(attributes.beta, node.ConstantFloat(2));
    }
  }
  return node.Emit(Op::kClip, attributes, node.shape(0), 1);
}

}  // namespace shoji::graph::onnx_io
