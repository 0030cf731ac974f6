// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/float_functions.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace shoji::quantization {
namespace {

double Sigmoid(double x) { return 1 / (1 + Exp(-x)); }

double Tanh(double x) {
  const double magnitude = std::abs(x);
  const double e = Exp(-2 * magnitude);
  // Near 0 the quotient cancels; the series is good to 1e-16 there.
  const double square = magnitude * magnitude;
  const double series = magnitude * (1 - square / 3);
  const double value = magnitude < 1e-4 ? series : (1 - e) / (1 + e);
  return std::copysign(value, x);
}

}  // namespace

double Exp(double x) {
  constexpr double kLog2E = 1.44269504088896340736;
  constexpr double kLn2High =
      6.93147180369123816490e-01;  // its low 32 bits are 0: products with small integers are exact
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kLargest = 709;
  constexpr double kSmallest = -708;
  // Beyond these bounds e^x is no normal number, and no caller can tell.
  const double bounded = std::min(std::max(x, kSmallest), kLargest);
  const double power = std::nearbyint(bounded * kLog2E);
  const double rest = (bounded - power * kLn2High) - power * kLn2Low;
  // The series of e^rest for |rest| <= ln(2) / 2; the first term left out is below 2^-58.
  double sum = 1;
  for (int i = 14; i >= 1; --i) {
    sum = 1 + sum * rest / i;
  }
  constexpr int kExponentBias = 1023;
  constexpr int kMantissaBits = 52;
  const auto exponent = static_cast<uint64_t>(static_cast<int64_t>(power) + kExponentBias);
  const double scale = std::bit_cast<double>(exponent << kMantissaBits);
  return x < kSmallest ? 0 : sum * scale;
}

double Evaluate(const kernels::Activation& activation, double x) {
  using Kind = kernels::Activation::Kind;
  const auto alpha = static_cast<double>(activation.alpha);
  const auto beta = static_cast<double>(activation.beta);
  switch (activation.kind) {
    case Kind::kRelu:
      return std::max(x, 0.0);
    case Kind::kLeakyRelu:
      return x < 0 ? alpha * x : x;
    case Kind::kSigmoid:
      return Sigmoid(x);
    case Kind::kHardSigmoid:
      return std::min(std::max(alpha * x + beta, 0.0), 1.0);
    case Kind::kHardSwish:
      return x * std::min(std::max(x / 6 + 0.5, 0.0), 1.0);
    case Kind::kTanh:
      return Tanh(x);
    case Kind::kClip:
      return std::min(std::max(x, alpha), beta);
    case Kind::kSwish:
      return x * Sigmoid(x);
  }
  return x;
}

void Activate(const kernels::Activation& activation, std::span<const float> x, std::span<float> y) {
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] = static_cast<float>(Evaluate(activation, static_cast<double>(x[i])));
  }
}

void Softmax(const kernels::AxisView& view, std::span<const float> x, std::span<float> y) {
  for (int64_t outer = 0; outer < view.outer; ++outer) {
    for (int64_t inner = 0; inner < view.inner; ++inner) {
      const float* from = x.data() + outer * view.extent * view.inner + inner;
      float* to = y.data() + outer * view.extent * view.inner + inner;
      float max = std::numeric_limits<float>::lowest();
      for (int64_t i = 0; i < view.extent; ++i) {
        max = std::max(max, from[i * view.inner]);
      }
      const auto shift = static_cast<double>(max);
      double sum = 0;
      for (int64_t i = 0; i < view.extent; ++i) {
        sum += Exp(static_cast<double>(from[i * view.inner]) - shift);
      }
      for (int64_t i = 0; i < view.extent; ++i) {
        to[i * view.inner] = static_cast<float>(Exp(static_cast<double>(from[i * view.inner]) - shift) / sum);
      }
    }
  }
}

}  // namespace shoji::quantization
