// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/reference/linear.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include <Eigen/Core>

namespace shoji::kernels::reference {
namespace {

using ConstRow = Eigen::Map<const Eigen::VectorXf>;
using Row = Eigen::Map<Eigen::VectorXf>;
using StridedRow = Eigen::Map<const Eigen::VectorXf, 0, Eigen::InnerStride<>>;

// y += w * (x under the kernel's tap {row, column}), over one plane.
void AddTap(const ConvGeometry& g, Extents tap, float w, const float* x, float* y) {
  const Range rows = ValidOutputs(g.window, 0, tap[0], g.input[0], g.output[0]);
  const Range columns = ValidOutputs(g.window, 1, tap[1], g.input[1], g.output[1]);
  const int64_t count = columns.end - columns.begin;
  if (count <= 0) {
    return;
  }
  const int64_t stride = g.window.strides[1];
  const int64_t column = columns.begin * stride - g.window.pads[1] + tap[1] * g.window.dilations[1];
  for (int64_t out = rows.begin; out < rows.end; ++out) {
    const int64_t in = out * g.window.strides[0] - g.window.pads[0] + tap[0] * g.window.dilations[0];
    const float* from = x + in * g.input[1] + column;
    Row to(y + out * g.output[1] + columns.begin, count);
    if (stride == 1) {
      to += w * ConstRow(from, count);
    } else {
      to += w * StridedRow(from, count, Eigen::InnerStride<>(stride));
    }
  }
}

// One output plane.
void ConvolvePlane(const ConvGeometry& g, const float* x, const float* w, float* y) {
  const int64_t plane = g.input[0] * g.input[1];
  for (int64_t channel = 0; channel < g.in_channels / g.group; ++channel) {
    for (int64_t row = 0; row < g.window.kernel[0]; ++row) {
      for (int64_t column = 0; column < g.window.kernel[1]; ++column) {
        AddTap(g, {row, column}, *w++, x + channel * plane, y);
      }
    }
  }
}

// The operand matrix at one position of the batch.
int64_t OffsetOf(int64_t position, const std::vector<int64_t>& batch, const std::vector<int64_t>& strides) {
  int64_t offset = 0;
  for (size_t i = batch.size(); i-- > 0;) {
    offset += position % batch[i] * strides[i];
    position /= batch[i];
  }
  return offset;
}

// y [n] += sum over k of alpha * a[k * a_stride] * b[k][n]
void AddRowTimesMatrix(const GemmGeometry& g, const float* a, int64_t a_stride, const float* b, float* y) {
  for (int64_t k = 0; k < g.k; ++k) {
    Row(y, g.n) += g.alpha * a[k * a_stride] * ConstRow(b + k * g.n, g.n);
  }
}

// The same with B stored as [n][k].
void AddRowTimesTransposed(const GemmGeometry& g, const float* a, int64_t a_stride, const float* b, float* y) {
  const StridedRow row(a, g.k, Eigen::InnerStride<>(a_stride));
  for (int64_t n = 0; n < g.n; ++n) {
    const ConstRow column(b + n * g.k, g.k);
    y[n] += g.alpha * (a_stride == 1 ? ConstRow(a, g.k).dot(column) : row.dot(column));
  }
}

}  // namespace

void Convolve(const ConvGeometry& geometry, std::span<const float> x, std::span<const float> w,
              std::span<const float> bias, std::span<float> y) {
  const int64_t in_per_group = geometry.in_channels / geometry.group;
  const int64_t out_per_group = geometry.out_channels / geometry.group;
  const int64_t in_plane = geometry.input[0] * geometry.input[1];
  const int64_t out_plane = geometry.output[0] * geometry.output[1];
  const int64_t taps = in_per_group * geometry.window.kernel[0] * geometry.window.kernel[1];
  if (y.empty()) {
    return;
  }
  for (int64_t n = 0; n < geometry.batch; ++n) {
    for (int64_t channel = 0; channel < geometry.out_channels; ++channel) {
      float* plane = y.data() + (n * geometry.out_channels + channel) * out_plane;
      std::fill_n(plane, out_plane, bias.empty() ? 0.0F : bias[static_cast<size_t>(channel)]);
      const int64_t first_input = n * geometry.in_channels + channel / out_per_group * in_per_group;
      ConvolvePlane(geometry, x.data() + first_input * in_plane, w.data() + channel * taps, plane);
    }
  }
}

void MatMul(const MatMulGeometry& geometry, std::span<const float> a, std::span<const float> b, std::span<float> y) {
  const int64_t matrix = geometry.m * geometry.n;
  if (y.empty()) {
    return;
  }
  GemmGeometry one;
  one.m = geometry.m;
  one.k = geometry.k;
  one.n = geometry.n;
  for (int64_t position = 0; position < static_cast<int64_t>(y.size()) / matrix; ++position) {
    const float* a_matrix = a.data() + OffsetOf(position, geometry.batch, geometry.a_strides);
    const float* b_matrix = b.data() + OffsetOf(position, geometry.batch, geometry.b_strides);
    float* y_matrix = y.data() + position * matrix;
    std::fill_n(y_matrix, matrix, 0.0F);
    for (int64_t m = 0; m < one.m; ++m) {
      AddRowTimesMatrix(one, a_matrix + m * one.k, 1, b_matrix, y_matrix + m * one.n);
    }
  }
}

void Gemm(const GemmGeometry& geometry, std::span<const float> a, std::span<const float> b, std::span<const float> c,
          std::span<float> y) {
  const bool a_transposed = geometry.a == GemmGeometry::Operand::kTransposed;
  for (int64_t m = 0; m < geometry.m && geometry.n > 0; ++m) {
    float* row = y.data() + m * geometry.n;
    for (int64_t n = 0; n < geometry.n; ++n) {
      const int64_t at = m * geometry.c_row_stride + n * geometry.c_column_stride;
      row[n] = c.empty() ? 0.0F : geometry.beta * c[static_cast<size_t>(at)];
    }
    if (geometry.k == 0) {
      continue;
    }
    const float* a_row = a.data() + m * (a_transposed ? 1 : geometry.k);
    const int64_t a_stride = a_transposed ? geometry.m : 1;
    if (geometry.b == GemmGeometry::Operand::kTransposed) {
      AddRowTimesTransposed(geometry, a_row, a_stride, b.data(), row);
    } else {
      AddRowTimesMatrix(geometry, a_row, a_stride, b.data(), row);
    }
  }
}

}  // namespace shoji::kernels::reference
