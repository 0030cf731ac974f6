// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/reference/pooling.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

namespace shoji::kernels::reference {
namespace {

// The window of one output position along one axis: the taps whose cells lie in the input, the first such cell, and how
// many taps lie in the padded input.
struct Cover {
  int64_t first_cell = 0;
  int64_t taps = 0;
  int64_t padded_taps = 0;
};

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

Cover CoverOf(const PoolGeometry& g, size_t axis, int64_t output) {
  const int64_t dilation = g.window.dilations[axis];
  const int64_t start = output * g.window.strides[axis] - g.window.pads[axis];
  const int64_t padded_end = g.input[axis] + g.window.pads[axis + 2];
  const auto taps_below = [&](int64_t limit) {  // taps at cells < limit
    return limit <= start ? 0 : std::min(g.window.kernel[axis], DivideUp(limit - start, dilation));
  };
  const int64_t skipped = taps_below(0);
  return {start + skipped * dilation, taps_below(g.input[axis]) - skipped, taps_below(padded_end)};
}

float PoolWindow(const PoolGeometry& g, const Cover& rows, const Cover& columns, const float* x) {
  const bool max = g.kind == PoolKind::kMax;
  float out = max ? std::numeric_limits<float>::lowest() : 0.0F;
  for (int64_t i = 0; i < rows.taps; ++i) {
    const float* row = x + (rows.first_cell + i * g.window.dilations[0]) * g.input[1] + columns.first_cell;
    for (int64_t j = 0; j < columns.taps; ++j) {
      const float cell = row[j * g.window.dilations[1]];
      out = max ? std::max(out, cell) : out + cell;
    }
  }
  if (max) {
    return out;
  }
  const int64_t count =
      g.kind == PoolKind::kAverageOfPadded ? rows.padded_taps * columns.padded_taps : rows.taps * columns.taps;
  return count == 0 ? 0.0F : out / static_cast<float>(count);
}

}  // namespace

void Pool(const PoolGeometry& geometry, std::span<const float> x, std::span<float> y) {
  const int64_t in_plane = geometry.input[0] * geometry.input[1];
  float* out = y.data();
  if (y.empty()) {
    return;
  }
  for (int64_t plane = 0; plane < geometry.batch * geometry.channels; ++plane) {
    for (int64_t row = 0; row < geometry.output[0]; ++row) {
      const Cover rows = CoverOf(geometry, 0, row);
      for (int64_t column = 0; column < geometry.output[1]; ++column) {
        *out++ = PoolWindow(geometry, rows, CoverOf(geometry, 1, column), x.data() + plane * in_plane);
      }
    }
  }
}

}  // namespace shoji::kernels::reference
