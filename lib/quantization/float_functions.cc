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

// Those that few networks have.
double EvaluateRare(const kernels::Activation& activation, double x) {
  using Kind = kernels::Activation::Kind;
  const auto alpha = static_cast<double>(activation.alpha);
  const auto beta = static_cast<double>(activation.beta);
  switch (activation.kind) {
    case Kind::kElu:
      return x < 0 ? alpha * (Exp(x) - 1) : x;
    case Kind::kSelu:
      return beta * (x < 0 ? alpha * (Exp(x) - 1) : x);
    case Kind::kThresholdedRelu:
      return x > alpha ? x : 0;
    case Kind::kSoftplus:
      return std::max(x, 0.0) + Log(1 + Exp(-std::abs(x)));
    case Kind::kSoftsign:
      return x / (1 + std::abs(x));
    case Kind::kErf:
      return Erf(x);
    case Kind::kAbs:
      return std::abs(x);
    case Kind::kNeg:
      return -x;
    case Kind::kExp:
      return Exp(x);
    case Kind::kLog:
      return Log(x);
    case Kind::kSqrt:
      return std::sqrt(x);
    case Kind::kReciprocal:
      return 1 / x;
    case Kind::kFloor:
      return std::floor(x);
    case Kind::kCeil:
      return std::ceil(x);
    case Kind::kRound:
      return std::nearbyint(x);
    case Kind::kSign:
      return x > 0 ? 1 : x < 0 ? -1 : x;
    default:
      return x;
  }
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
  const auto scale = std::bit_cast<double>(exponent << kMantissaBits);
  return x < kSmallest ? 0 : sum * scale;
}

double Log(double x) {
  constexpr double kLn2 = 0.693147180559945309417;
  constexpr double kRootOfHalf = 0.70710678118654752440;
  if (!(x > 0) || std::isinf(x)) {
    return x == 0 ? -std::numeric_limits<double>::infinity() : x > 0 ? x : std::numeric_limits<double>::quiet_NaN();
  }
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < kRootOfHalf) {
    mantissa *= 2;
    --exponent;
  }
  // log(m) = 2 artanh((m - 1) / (m + 1)); the first term left out is below 2^-60.
  const double f = (mantissa - 1) / (mantissa + 1);
  double sum = 0;
  for (int i = 23; i >= 1; i -= 2) {
    sum = sum * f * f + 1.0 / i;
  }
  return exponent * kLn2 + 2 * f * sum;
}

double Erf(double x) {
  constexpr double kTwoOverRootPi = 1.12837916709551257390;
  constexpr double kLargest = 6;  // beyond, the result rounds to 1
  const double magnitude = std::min(std::abs(x), kLargest);
  // A series of positive terms, which does not cancel.
  double term = magnitude;
  double sum = magnitude;
  constexpr int kTerms = 160;
  for (int i = 1; i < kTerms; ++i) {
    term *= 2 * magnitude * magnitude / (2 * i + 1);
    sum += term;
  }
  const double value = std::abs(x) < kLargest ? kTwoOverRootPi * Exp(-magnitude * magnitude) * sum : 1;
  return std::isnan(x) ? x : std::copysign(value, x);
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
    default:
      return EvaluateRare(activation, x);
  }
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
