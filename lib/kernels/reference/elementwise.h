// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Functions of single elements, pairs of elements, and of elements along one axis. Spans have the sizes that the
// geometry says; `y` may be `x`.
#pragma once

#include <span>

#include "lib/kernels/activation.h"
#include "lib/kernels/geometry.h"

namespace shoji::kernels::reference {

void Activate(const Activation& activation, std::span<const float> x, std::span<float> y);

// `nest` is MakeBroadcast's.
void Binary(BinaryKind kind, const LoopNest& nest, std::span<const float> a, std::span<const float> b,
            std::span<float> y);

// One element a channel.
struct BatchNormParameters {
  std::span<const float> scale;
  std::span<const float> bias;
  std::span<const float> mean;
  std::span<const float> variance;
  float epsilon = 1e-5F;
};
// `view` is along the channel axis.
void BatchNorm(const AxisView& view, const BatchNormParameters& parameters, std::span<const float> x,
               std::span<float> y);

// Over the axis of `view`.
void Softmax(const AxisView& view, std::span<const float> x, std::span<float> y);

// `nest` is MakeReduction's. The mean of nothing is not a number. `y` must not be `x`.
void ReduceMean(const LoopNest& nest, std::span<const float> x, std::span<float> y);
// Likewise; the most of nothing is minus infinity.
void ReduceMax(const LoopNest& nest, std::span<const float> x, std::span<float> y);

// Local response normalization over the channels: x / (bias + alpha / size * sum of x^2 over `size` channels
// around)^beta.
struct LrnParameters {
  int64_t size = 1;
  float alpha = 1e-4F;
  float beta = 0.75F;
  float bias = 1;
};
// `view` is along the channel axis. `y` must not be `x`.
void Lrn(const AxisView& view, const LrnParameters& parameters, std::span<const float> x, std::span<float> y);

// y = clamp(round(x / scale), low, high) * scale, rounding half to even; what is not a number becomes `low`.
struct QuantizeSteps {
  float scale = 1;
  float low = 0;
  float high = 255;
};
void FakeQuantize(const QuantizeSteps& steps, std::span<const float> x, std::span<float> y);

}  // namespace shoji::kernels::reference
