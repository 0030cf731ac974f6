// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "lib/kernels/reference/elementwise.h"

namespace shoji::kernels::reference {
namespace {

using Kind = Activation::Kind;

template <typename F>
void Map(std::span<const float> x, std::span<float> y, F f) {
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] = f(x[i]);
  }
}

// Those that networks have between their layers.
void ActivateSmooth(const Activation& activation, std::span<const float> x, std::span<float> y) {
  const float alpha = activation.alpha;
  const float beta = activation.beta;
  switch (activation.kind) {
    case Kind::kSigmoid:
      return Map(x, y, [](float v) { return 1.0F / (1.0F + std::exp(-v)); });
    case Kind::kHardSwish:
      return Map(x, y, [](float v) { return v * std::min(std::max(v / 6.0F + 0.5F, 0.0F), 1.0F); });
    case Kind::kTanh:
      return Map(x, y, [](float v) { return std::tanh(v); });
    case Kind::kSwish:
      return Map(x, y, [](float v) { return v / (1.0F + std::exp(-v)); });
    case Kind::kElu:
      return Map(x, y, [=](float v) { return v < 0 ? alpha * std::expm1(v) : v; });
    case Kind::kSelu:
      return Map(x, y, [=](float v) { return beta * (v < 0 ? alpha * std::expm1(v) : v); });
    case Kind::kSoftplus:
      return Map(x, y, [](float v) { return std::max(v, 0.0F) + std::log1p(std::exp(-std::abs(v))); });
    case Kind::kSoftsign:
      return Map(x, y, [](float v) { return v / (1.0F + std::abs(v)); });
    default:
      return;
  }
}

void ActivatePiecewise(const Activation& activation, std::span<const float> x, std::span<float> y) {
  const float alpha = activation.alpha;
  const float beta = activation.beta;
  switch (activation.kind) {
    case Kind::kRelu:
      return Map(x, y, [](float v) { return v < 0 ? 0.0F : v; });
    case Kind::kLeakyRelu:
      return Map(x, y, [=](float v) { return v < 0 ? alpha * v : v; });
    case Kind::kHardSigmoid:
      return Map(x, y, [=](float v) { return std::min(std::max(alpha * v + beta, 0.0F), 1.0F); });
    case Kind::kClip:
      return Map(x, y, [=](float v) { return std::min(std::max(v, alpha), beta); });
    case Kind::kThresholdedRelu:
      return Map(x, y, [=](float v) { return v > alpha ? v : 0.0F; });
    case Kind::kAbs:
      return Map(x, y, [](float v) { return std::abs(v); });
    case Kind::kNeg:
      return Map(x, y, [](float v) { return -v; });
    case Kind::kFloor:
      return Map(x, y, [](float v) { return std::floor(v); });
    case Kind::kCeil:
      return Map(x, y, [](float v) { return std::ceil(v); });
    case Kind::kRound:
      return Map(x, y, [](float v) { return std::nearbyint(v); });
    case Kind::kSign:
      return Map(x, y, [](float v) { return v > 0 ? 1.0F : v < 0 ? -1.0F : v; });
    default:
      return;
  }
}

}  // namespace

void Activate(const Activation& activation, std::span<const float> x, std::span<float> y) {
  switch (activation.kind) {
    case Kind::kSigmoid:
    case Kind::kHardSwish:
    case Kind::kTanh:
    case Kind::kSwish:
    case Kind::kElu:
    case Kind::kSelu:
    case Kind::kSoftplus:
    case Kind::kSoftsign:
      return ActivateSmooth(activation, x, y);
    case Kind::kRelu:
    case Kind::kLeakyRelu:
    case Kind::kHardSigmoid:
    case Kind::kClip:
    case Kind::kThresholdedRelu:
    case Kind::kAbs:
    case Kind::kNeg:
    case Kind::kFloor:
    case Kind::kCeil:
    case Kind::kRound:
    case Kind::kSign:
      return ActivatePiecewise(activation, x, y);
    case Kind::kErf:
      return Map(x, y, [](float v) { return std::erf(v); });
    case Kind::kExp:
      return Map(x, y, [](float v) { return std::exp(v); });
    case Kind::kLog:
      return Map(x, y, [](float v) { return std::log(v); });
    case Kind::kSqrt:
      return Map(x, y, [](float v) { return std::sqrt(v); });
    case Kind::kReciprocal:
      return Map(x, y, [](float v) { return 1.0F / v; });
  }
}

}  // namespace shoji::kernels::reference
