// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/elementwise.h"

#include <array>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/kernels/onednn/elementary.h"
#include "lib/kernels/onednn/make.h"

namespace shoji::kernels::onednn {
namespace {

constexpr std::array<ArgumentQuery, 1> kInput = {{{DNNL_ARG_SRC, dnnl_query_src_md, 0}}};
constexpr ArgumentQuery kOutput = {DNNL_ARG_DST, dnnl_query_dst_md, 0};

dnnl_alg_kind_t AlgorithmOf(BinaryKind kind) {
  switch (kind) {
    case BinaryKind::kAdd:
      return dnnl_binary_add;
    case BinaryKind::kSub:
      return dnnl_binary_sub;
    case BinaryKind::kMul:
      return dnnl_binary_mul;
    case BinaryKind::kDiv:
      return dnnl_binary_div;
    case BinaryKind::kMax:
      return dnnl_binary_max;
    case BinaryKind::kMin:
      return dnnl_binary_min;
    case BinaryKind::kPow:
    case BinaryKind::kPRelu:
      break;
  }
  return dnnl_alg_kind_undef;
}

}  // namespace

std::vector<Elementary> ElementaryOf(const Activation& activation) {
  switch (activation.kind) {
    case Activation::Kind::kRelu:
      return {{dnnl_eltwise_relu, 0, 0}};
    case Activation::Kind::kLeakyRelu:
      return {{dnnl_eltwise_relu, activation.alpha, 0}};
    case Activation::Kind::kSigmoid:
      return {{dnnl_eltwise_logistic, 0, 0}};
    case Activation::Kind::kHardSigmoid:
      return {{dnnl_eltwise_linear, activation.alpha, activation.beta}, {dnnl_eltwise_clip, 0, 1}};
    case Activation::Kind::kHardSwish:
      return {{dnnl_eltwise_hardswish, 0, 0}};
    case Activation::Kind::kTanh:
      return {{dnnl_eltwise_tanh, 0, 0}};
    case Activation::Kind::kClip:
      return {{dnnl_eltwise_clip, activation.alpha, activation.beta}};
    case Activation::Kind::kSwish:
      return {{dnnl_eltwise_swish, 1, 0}};
    case Activation::Kind::kElu:
      return {{dnnl_eltwise_elu, activation.alpha, 0}};
    case Activation::Kind::kSelu:
      return {{dnnl_eltwise_elu, activation.alpha, 0}, {dnnl_eltwise_linear, activation.beta, 0}};
    case Activation::Kind::kAbs:
      return {{dnnl_eltwise_abs, 0, 0}};
    case Activation::Kind::kNeg:
      return {{dnnl_eltwise_linear, -1, 0}};
    case Activation::Kind::kExp:
      return {{dnnl_eltwise_exp, 0, 0}};
    case Activation::Kind::kSqrt:
      return {{dnnl_eltwise_sqrt, 0, 0}};
    default:
      return {};
  }
}

absl::StatusOr<std::vector<Primitive>> MakeActivation(const Engine& engine, const Activation& activation,
                                                      const Layout& x) {
  std::vector<Primitive> out;
  const std::vector<Elementary> functions = ElementaryOf(activation);
  if (functions.empty()) {
    return absl::UnimplementedError("oneDNN has no such function");
  }
  for (const Elementary& function : functions) {
    dnnl_eltwise_desc_t operation = {};
    RETURN_IF_DNNL_ERROR(dnnl_eltwise_forward_desc_init(&operation, dnnl_forward_inference, function.algorithm,
                                                        &x.desc(), function.alpha, function.beta));
    ASSIGN_OR_RETURN(Primitive primitive, BuildBest(engine, &operation, {}, kInput, kOutput));
    out.push_back(std::move(primitive));
  }
  return out;
}

absl::StatusOr<Primitive> MakeBinary(const Engine& engine, BinaryKind kind, const Layout& a, const Layout& b) {
  static constexpr std::array<ArgumentQuery, 2> kInputs = {
      {{DNNL_ARG_SRC_0, dnnl_query_src_md, 0}, {DNNL_ARG_SRC_1, dnnl_query_src_md, 1}}};
  const dnnl_alg_kind_t algorithm = AlgorithmOf(kind);
  if (algorithm == dnnl_alg_kind_undef) {
    return absl::UnimplementedError("oneDNN has no such function");
  }
  dnnl_binary_desc_t operation = {};
  RETURN_IF_DNNL_ERROR(dnnl_binary_desc_init(&operation, algorithm, &a.desc(), &b.desc(), &a.desc()));
  return BuildBest(engine, &operation, {}, kInputs, kOutput);
}

absl::StatusOr<Primitive> MakeBatchNorm(const Engine& engine, float epsilon, const Layout& x) {
  constexpr unsigned kFlags = dnnl_use_global_stats | dnnl_use_scale | dnnl_use_shift;
  dnnl_batch_normalization_desc_t operation = {};
  RETURN_IF_DNNL_ERROR(
      dnnl_batch_normalization_forward_desc_init(&operation, dnnl_forward_inference, &x.desc(), epsilon, kFlags));
  static constexpr std::array<ArgumentQuery, 1> kX = {{{DNNL_ARG_SRC, dnnl_query_src_md, 0}}};
  ASSIGN_OR_RETURN(const Primitive made, BuildBest(engine, &operation, {}, kX, kOutput));
  ASSIGN_OR_RETURN(const Layout per_channel, Layout::Plain({{x.dims()[1]}}));
  std::vector<Argument> inputs = made.inputs();
  for (const int id : {DNNL_ARG_MEAN, DNNL_ARG_VARIANCE, DNNL_ARG_SCALE, DNNL_ARG_SHIFT}) {
    inputs.push_back({id, per_channel, per_channel});
  }
  return made.WithInputs(std::move(inputs));
}

absl::StatusOr<Primitive> MakeLrn(const Engine& engine, const reference::LrnParameters& parameters, const Layout& x) {
  // oneDNN's region of an even number of channels is another than ONNX's.
  if (parameters.size % 2 == 0 || x.dims().size() != 4) {
    return absl::UnimplementedError("oneDNN has no such normalization");
  }
  dnnl_lrn_desc_t operation = {};
  RETURN_IF_DNNL_ERROR(dnnl_lrn_forward_desc_init(&operation, dnnl_forward_inference, dnnl_lrn_across_channels,
                                                  &x.desc(), parameters.size, parameters.alpha, parameters.beta,
                                                  parameters.bias));
  return BuildBest(engine, &operation, {}, kInput, kOutput);
}

absl::StatusOr<Primitive> MakeSoftmax(const Engine& engine, int64_t axis, const Layout& x) {
  dnnl_softmax_desc_t operation = {};
  RETURN_IF_DNNL_ERROR(
      dnnl_softmax_forward_desc_init(&operation, dnnl_forward_inference, &x.desc(), static_cast<int>(axis)));
  return BuildBest(engine, &operation, {}, kInput, kOutput);
}

}  // namespace shoji::kernels::onednn
