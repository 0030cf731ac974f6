// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/reference/movement.h"

#include <algorithm>
#include <cstddef>

namespace shoji::kernels::reference {

void Copy(const LoopNest& nest, std::span<const float> x, std::span<float> y) {
  const size_t inner = nest.rank - 1;
  const int64_t count = nest.extents[inner];
  const int64_t from_step = nest.strides[0][inner];
  const int64_t to_step = nest.strides[2][inner];
  ForEachRow(nest, [&](int64_t x_at, int64_t, int64_t y_at) {
    const float* from = x.data() + x_at;
    float* to = y.data() + y_at;
    if (from_step == 1 && to_step == 1) {
      std::copy_n(from, count, to);
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      to[i * to_step] = from[i * from_step];
    }
  });
}

void Pad(const LoopNest& nest, float value, std::span<const float> x, std::span<float> y) {
  std::fill(y.begin(), y.end(), value);
  Copy(nest, x, y);
}

void Insert(const AxisView& x_view, const AxisView& y_view, int64_t position, std::span<const float> x,
            std::span<float> y) {
  const int64_t part = x_view.extent * x_view.inner;
  const int64_t whole = y_view.extent * y_view.inner;
  for (int64_t outer = 0; outer < x_view.outer; ++outer) {
    std::copy_n(x.data() + outer * part, part, y.data() + outer * whole + position * y_view.inner);
  }
}

void Gather(const AxisView& view, std::span<const int64_t> indices, std::span<const float> x, std::span<float> y) {
  float* to = y.data();
  for (int64_t outer = 0; outer < view.outer; ++outer) {
    for (const int64_t index : indices) {
      to = std::copy_n(x.data() + (outer * view.extent + index) * view.inner, view.inner, to);
    }
  }
}

}  // namespace shoji::kernels::reference
