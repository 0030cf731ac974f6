// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What onnxruntime's optimizer makes of several nodes, in models that it has saved: taken apart again.

#include <algorithm>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

// A function that a layer may end with, and how many parameters it has, in the order of FloatAttributes.
struct FusedFunction {
  std::string_view name;
  Op op;
  size_t num_parameters = 0;
  FloatAttributes absent = {};
};

constexpr FusedFunction kFunctions[] = {
    {"Clip", Op::kClip, 2, {std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()}},
    {"HardSigmoid", Op::kHardSigmoid, 2, {0.2F, 0.5F}},
    {"LeakyRelu", Op::kLeakyRelu, 1, {0.01F, 0}},
    {"Relu", Op::kRelu},
    {"Sigmoid", Op::kSigmoid},
    {"Tanh", Op::kTanh},
};

// The function that the node names.
absl::StatusOr<const FusedFunction*> FunctionOf(const NodeScope& node) {
  ASSIGN_OR_RETURN(const std::string name, node.String("activation", ""));
  const auto* found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                   [&name](const FusedFunction& function) { return function.name == name; });
  if (found == std::end(kFunctions)) {
    return node.Unimplemented("attribute `activation` is " + Quoted(name) +
                              "; Clip, HardSigmoid, LeakyRelu, Relu, Sigmoid and Tanh are supported");
  }
  return found;
}

absl::Status EmitFunction(NodeScope& node, const FusedFunction& function, const std::vector<float>& parameters,
                          KnownValue* x) {
  if (parameters.size() > function.num_parameters) {
    return node.Invalid(std::to_string(parameters.size()) + " parameters for the activation " +
                        std::string(function.name));
  }
  if (function.num_parameters == 0) {
    return node.EmitLast(function.op, {}, x->shape, {x});
  }
  FloatAttributes attributes = function.absent;
  if (!parameters.empty()) {
    attributes.alpha = parameters[0];
  }
  if (parameters.size() > 1) {
    attributes.beta = parameters[1];
  }
  return node.EmitLast(function.op, attributes, x->shape, {x});
}

// Operand `i` of a product, with its last two dimensions exchanged where the node says so.
absl::StatusOr<KnownValue*> MatrixOperand(NodeScope& node, size_t i, const std::string& attribute) {
  ASSIGN_OR_RETURN(const int64_t transposed, node.Int(attribute, 0));
  KnownValue* x = node.inputs()[i];
  const size_t rank = x->shape.rank();
  if (transposed == 0 || rank < 2) {
    return x;
  }
  TransposeAttributes attributes;
  attributes.permutation.resize(rank);
  std::iota(attributes.permutation.begin(), attributes.permutation.end(), int64_t{0});
  std::swap(attributes.permutation[rank - 2], attributes.permutation[rank - 1]);
  std::vector<int64_t> dims = x->shape.dims();
  std::swap(dims[rank - 2], dims[rank - 1]);
  ASSIGN_OR_RETURN(Shape shape, node.MakeShape(std::move(dims)));
  return node.EmitStep(attribute, Op::kTranspose, std::move(attributes), std::move(shape), {x});
}

}  // namespace

// activation(Conv(X, W, B) + Z).
absl::Status NormalizeFusedConv(NodeScope& node) {
  ASSIGN_OR_RETURN(const FusedFunction* function, FunctionOf(node));
  std::vector<float> parameters;
  if (node.has_attribute("activation_params")) {
    ASSIGN_OR_RETURN(parameters, node.Floats("activation_params"));
  }
  ASSIGN_OR_RETURN(KnownValue * y, StepConv(node, "conv"));
  if (node.has_input(3)) {
    KnownValue* z = node.inputs()[3];
    if (z->shape != y->shape) {
      return node.Invalid("its input 3 has shape " + z->shape.ToString() + ", its result " + y->shape.ToString());
    }
    ASSIGN_OR_RETURN(y, node.StepBinary("sum", Op::kAdd, y, z));
  }
  return EmitFunction(node, *function, parameters, y);
}

absl::Status NormalizeFusedGemm(NodeScope& node) {
  ASSIGN_OR_RETURN(const FusedFunction* function, FunctionOf(node));
  std::vector<float> parameters;
  for (const std::string name : {"activation_alpha", "activation_beta", "activation_gamma"}) {
    if (node.has_attribute(name)) {
      ASSIGN_OR_RETURN(const float value, node.Float(name, 0));
      parameters.push_back(value);
    }
  }
  ASSIGN_OR_RETURN(KnownValue * y, StepGemm(node, "gemm"));
  return EmitFunction(node, *function, parameters, y);
}

// alpha * op(A) * op(B).
absl::Status NormalizeFusedMatMul(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  for (const std::string name : {"transBatchA", "transBatchB"}) {
    ASSIGN_OR_RETURN(const int64_t value, node.Int(name, 0));
    if (value != 0) {
      return node.Unimplemented("attribute `" + name + "` is not supported");
    }
  }
  ASSIGN_OR_RETURN(const float alpha, node.Float("alpha", 1));
  ASSIGN_OR_RETURN(KnownValue * a, MatrixOperand(node, 0, "transA"));
  ASSIGN_OR_RETURN(KnownValue * b, MatrixOperand(node, 1, "transB"));
  if (alpha != 1) {
    ASSIGN_OR_RETURN(KnownValue * factor, node.NewScalar("alpha", alpha));
    ASSIGN_OR_RETURN(b, node.StepBinary("scaled", Op::kMul, b, factor));
  }
  NodeScope product = node.WithInputs({a, b});
  return NormalizeMatMul(product);
}

absl::Status NormalizeBiasGelu(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(2));
  ASSIGN_OR_RETURN(KnownValue * x, node.StepBinary("sum", Op::kAdd, node.inputs()[0], node.inputs()[1]));
  NodeScope gelu = node.WithInputs({x});
  return NormalizeGelu(gelu);
}

absl::Status NormalizeFastGelu(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  KnownValue* x = node.inputs()[0];
  if (node.has_input(1)) {
    ASSIGN_OR_RETURN(x, node.StepBinary("sum", Op::kAdd, x, node.inputs()[1]));
  }
  return EmitTanhGelu(node, x);
}

// x * sigmoid(alpha * x).
absl::Status NormalizeQuickGelu(NodeScope& node) {
  RETURN_IF_ERROR(node.RequireInputs(1));
  ASSIGN_OR_RETURN(const float alpha, node.Float("alpha", 1.702F));
  KnownValue* x = node.inputs()[0];
  KnownValue* scaled = x;
  if (alpha != 1) {
    ASSIGN_OR_RETURN(KnownValue * factor, node.NewScalar("alpha", alpha));
    ASSIGN_OR_RETURN(scaled, node.StepBinary("scaled", Op::kMul, x, factor));
  }
  ASSIGN_OR_RETURN(KnownValue * gate, node.StepUnary("gate", Op::kSigmoid, scaled));
  return node.LastBinary(Op::kMul, x, gate);
}

}  // namespace shoji::graph::onnx_io
