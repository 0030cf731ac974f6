// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <variant>

#include "lib/execution/fusion.h"

namespace shoji::execution {
namespace {

using graph::Op;
using kernels::Activation;

struct Entry {
  Op op = Op::kRelu;
  Activation::Kind kind = Activation::Kind::kRelu;
  bool has_factors = false;
};

constexpr Entry kActivations[] = {
    {Op::kRelu, Activation::Kind::kRelu},
    {Op::kLeakyRelu, Activation::Kind::kLeakyRelu, true},
    {Op::kSigmoid, Activation::Kind::kSigmoid},
    {Op::kHardSigmoid, Activation::Kind::kHardSigmoid, true},
    {Op::kHardSwish, Activation::Kind::kHardSwish},
    {Op::kTanh, Activation::Kind::kTanh},
    {Op::kClip, Activation::Kind::kClip, true},
    {Op::kElu, Activation::Kind::kElu, true},
    {Op::kSelu, Activation::Kind::kSelu, true},
    {Op::kThresholdedRelu, Activation::Kind::kThresholdedRelu, true},
    {Op::kSoftplus, Activation::Kind::kSoftplus},
    {Op::kSoftsign, Activation::Kind::kSoftsign},
    {Op::kErf, Activation::Kind::kErf},
    {Op::kAbs, Activation::Kind::kAbs},
    {Op::kNeg, Activation::Kind::kNeg},
    {Op::kExp, Activation::Kind::kExp},
    {Op::kLog, Activation::Kind::kLog},
    {Op::kSqrt, Activation::Kind::kSqrt},
    {Op::kReciprocal, Activation::Kind::kReciprocal},
    {Op::kFloor, Activation::Kind::kFloor},
    {Op::kCeil, Activation::Kind::kCeil},
    {Op::kRound, Activation::Kind::kRound},
    {Op::kSign, Activation::Kind::kSign},
};

}  // namespace

std::optional<Activation> ActivationOf(const graph::Node& node) {
  for (const Entry& entry : kActivations) {
    if (entry.op != node.op) {
      continue;
    }
    if (!entry.has_factors) {
      return Activation{entry.kind};
    }
    const auto* factors = std::get_if<graph::FloatAttributes>(&node.attributes);
    return factors == nullptr ? std::nullopt : std::optional(Activation{entry.kind, factors->alpha, factors->beta});
  }
  return std::nullopt;
}

}  // namespace shoji::execution
