// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "lib/kernels/reference/elementwise.h"

namespace shoji::kernels::reference {
namespace {

// What x is divided by.
float LrnDivisor(const LrnParameters& p, float sum_of_squares) {
  const float base = p.bias + p.alpha / static_cast<float>(p.size) * sum_of_squares;
  if (p.beta == 0.75F) {  // of nearly every network; roots are several times faster than a power
    const float root = std::sqrt(base);
    return root * std::sqrt(root);
  }
  return std::pow(base, p.beta);
}

}  // namespace

void Lrn(const AxisView& view, const LrnParameters& parameters, std::span<const float> x, std::span<float> y) {
  const int64_t before = (parameters.size - 1) / 2;
  const int64_t after = parameters.size - 1 - before;
  const auto row = static_cast<size_t>(view.inner);
  std::vector<float> sums(row);
  for (int64_t outer = 0; outer < view.outer; ++outer) {
    const float* from = x.data() + outer * view.extent * view.inner;
    float* to = y.data() + outer * view.extent * view.inner;
    for (int64_t channel = 0; channel < view.extent; ++channel) {
      std::fill(sums.begin(), sums.end(), 0.0F);
      for (int64_t c = std::max<int64_t>(0, channel - before); c <= std::min(view.extent - 1, channel + after); ++c) {
        const float* squared = from + c * view.inner;
        for (size_t i = 0; i < row; ++i) {
          sums[i] += squared[i] * squared[i];
        }
      }
      for (size_t i = 0; i < row; ++i) {
        const size_t at = static_cast<size_t>(channel) * row + i;
        to[at] = from[at] / LrnDivisor(parameters, sums[i]);
      }
    }
  }
}

void FakeQuantize(const QuantizeSteps& steps, std::span<const float> x, std::span<float> y) {
  // Added and taken away again, this leaves the nearest whole number, ties to even, of what is small against it; unlike
  // std::nearbyint it becomes vector code.
  constexpr float kRounding = 0x1.8p23F;
  for (size_t i = 0; i < y.size(); ++i) {
    // The arguments' order makes what is not a number `low`.
    const float step = std::min(std::max(steps.low, x[i] / steps.scale), steps.high);
    y[i] = ((step + kRounding) - kRounding) * steps.scale;
  }
}

}  // namespace shoji::kernels::reference
