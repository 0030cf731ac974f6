// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/reference/elementwise.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include <Eigen/Core>

namespace shoji::kernels::reference {
namespace {

using ConstArray = Eigen::Map<const Eigen::ArrayXf>;
using Array = Eigen::Map<Eigen::ArrayXf>;

template <typename F>
void MapPairs(const LoopNest& nest, std::span<const float> a, std::span<const float> b, std::span<float> y, F f) {
  const size_t inner = nest.rank - 1;
  const int64_t a_step = nest.strides[0][inner];
  const int64_t b_step = nest.strides[1][inner];
  const int64_t count = nest.extents[inner];
  ForEachRow(nest, [&](int64_t a_at, int64_t b_at, int64_t y_at) {
    const float* left = a.data() + a_at;
    const float* right = b.data() + b_at;
    float* out = y.data() + y_at;
    for (int64_t i = 0; i < count; ++i) {
      out[i] = f(left[i * a_step], right[i * b_step]);
    }
  });
}

}  // namespace

void Binary(BinaryKind kind, const LoopNest& nest, std::span<const float> a, std::span<const float> b,
            std::span<float> y) {
  switch (kind) {
    case BinaryKind::kAdd:
      return MapPairs(nest, a, b, y, [](float l, float r) { return l + r; });
    case BinaryKind::kSub:
      return MapPairs(nest, a, b, y, [](float l, float r) { return l - r; });
    case BinaryKind::kMul:
      return MapPairs(nest, a, b, y, [](float l, float r) { return l * r; });
    case BinaryKind::kDiv:
      return MapPairs(nest, a, b, y, [](float l, float r) { return l / r; });
    case BinaryKind::kMax:
      return MapPairs(nest, a, b, y, [](float l, float r) { return std::max(l, r); });
    case BinaryKind::kMin:
      return MapPairs(nest, a, b, y, [](float l, float r) { return std::min(l, r); });
    case BinaryKind::kPow:
      return MapPairs(nest, a, b, y, [](float l, float r) { return std::pow(l, r); });
    case BinaryKind::kPRelu:
      return MapPairs(nest, a, b, y, [](float l, float r) { return l < 0 ? r * l : l; });
  }
}

void BatchNorm(const AxisView& view, const BatchNormParameters& parameters, std::span<const float> x,
               std::span<float> y) {
  size_t at = 0;
  for (int64_t outer = 0; outer < view.outer; ++outer) {
    for (size_t c = 0; c < static_cast<size_t>(view.extent); ++c) {
      const float factor = parameters.scale[c] / std::sqrt(parameters.variance[c] + parameters.epsilon);
      for (int64_t inner = 0; inner < view.inner; ++inner, ++at) {
        y[at] = (x[at] - parameters.mean[c]) * factor + parameters.bias[c];
      }
    }
  }
}

void Softmax(const AxisView& view, std::span<const float> x, std::span<float> y) {
  for (int64_t outer = 0; outer < view.outer; ++outer) {
    for (int64_t inner = 0; inner < view.inner; ++inner) {
      const float* from = x.data() + outer * view.extent * view.inner + inner;
      float* to = y.data() + outer * view.extent * view.inner + inner;
      float max = std::numeric_limits<float>::lowest();
      for (int64_t i = 0; i < view.extent; ++i) {
        max = std::max(max, from[i * view.inner]);
      }
      float sum = 0;
      for (int64_t i = 0; i < view.extent; ++i) {
        to[i * view.inner] = std::exp(from[i * view.inner] - max);
        sum += to[i * view.inner];
      }
      for (int64_t i = 0; i < view.extent; ++i) {
        to[i * view.inner] /= sum;
      }
    }
  }
}

void ReduceMean(const LoopNest& nest, std::span<const float> x, std::span<float> y) {
  const size_t inner = nest.rank - 1;
  const int64_t count = nest.extents[inner];
  std::fill(y.begin(), y.end(), 0.0F);
  // Each row is summed on its own before it is added: a long mean keeps its precision.
  ForEachRow(nest, [&](int64_t x_at, int64_t, int64_t y_at) {
    if (nest.strides[2][inner] == 0 && nest.strides[0][inner] == 1) {
      y[static_cast<size_t>(y_at)] += ConstArray(x.data() + x_at, count).sum();
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      y[static_cast<size_t>(y_at + i * nest.strides[2][inner])] +=
          x[static_cast<size_t>(x_at + i * nest.strides[0][inner])];
    }
  });
  if (!y.empty()) {
    const size_t terms = x.size() / y.size();
    Array(y.data(), static_cast<Eigen::Index>(y.size())) /= static_cast<float>(terms);
  }
}

void ReduceMax(const LoopNest& nest, std::span<const float> x, std::span<float> y) {
  const size_t inner = nest.rank - 1;
  std::fill(y.begin(), y.end(), -std::numeric_limits<float>::infinity());
  ForEachRow(nest, [&](int64_t x_at, int64_t, int64_t y_at) {
    for (int64_t i = 0; i < nest.extents[inner]; ++i) {
      float& most = y[static_cast<size_t>(y_at + i * nest.strides[2][inner])];
      most = std::max(most, x[static_cast<size_t>(x_at + i * nest.strides[0][inner])]);
    }
  });
}

}  // namespace shoji::kernels::reference
