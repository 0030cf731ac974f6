// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a kernel works on, checked: extents, windows, strides. Every kernel trusts its geometry, and only the functions
// here make one, so a geometry that exists never leads out of its tensors. Their errors are INVALID_ARGUMENT and say
// what does not fit what; sizes are those of lib/tensor, so products cannot overflow.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/tensor/shape.h"

namespace shoji::kernels {

// {height, width}
using Extents = std::array<int64_t, 2>;

// A two-dimensional window that slides over {height, width}. Pads are {top, left, bottom, right}.
struct Window {
  Extents kernel = {1, 1};
  Extents strides = {1, 1};
  Extents dilations = {1, 1};
  std::array<int64_t, 4> pads = {0, 0, 0, 0};

  // What the kernel covers along `axis` (0: height, 1: width), dilation included.
  int64_t Span(size_t axis) const { return (kernel[axis] - 1) * dilations[axis] + 1; }
};

// Output positions [begin, end) along one axis whose input position, out * stride - pad + tap * dilation, lies inside
// the input.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};
Range ValidOutputs(const Window& window, size_t axis, int64_t tap, int64_t input, int64_t output);

// X [batch, in_channels, input], W [out_channels, in_channels / group, kernel], bias [out_channels] or empty,
// Y [batch, out_channels, output].
struct ConvGeometry {
  int64_t batch = 1;
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t group = 1;
  Extents input = {1, 1};
  Extents output = {1, 1};
  Window window;
};
absl::StatusOr<ConvGeometry> MakeConvGeometry(const Shape& x, const Shape& w, const Shape& y, int64_t group,
                                              const Window& window);

enum class PoolKind : uint8_t {
  kMax,
  kAverageOfInput,   // divides by the cells that lie in the input
  kAverageOfPadded,  // divides by the cells that lie in the padded input (ONNX: count_include_pad)
};
// The number of outputs where the stride does not divide: windows that fit, or also one that hangs over the end.
enum class Rounding : uint8_t { kFloor, kCeil };

// X [batch, channels, input], Y [batch, channels, output].
struct PoolGeometry {
  PoolKind kind = PoolKind::kMax;
  int64_t batch = 1;
  int64_t channels = 1;
  Extents input = {1, 1};
  Extents output = {1, 1};
  Window window;
};
absl::StatusOr<PoolGeometry> MakePoolGeometry(PoolKind kind, const Shape& x, const Shape& y, const Window& window,
                                              Rounding rounding);
// One window over the whole input: [N,C,H,W] -> [N,C,1,1].
absl::StatusOr<PoolGeometry> MakeGlobalPoolGeometry(const Shape& x);

// Y [batch..., m, n] = A [batch or 1..., m, k] * B [batch or 1..., k, n]. The strides say how many elements each
// operand advances along each batch axis (0: broadcast).
struct MatMulGeometry {
  int64_t m = 1;
  int64_t k = 1;
  int64_t n = 1;
  std::vector<int64_t> batch;
  std::vector<int64_t> a_strides;
  std::vector<int64_t> b_strides;
};
// As numpy.matmul; operands of rank 1 included.
absl::StatusOr<MatMulGeometry> MakeMatMulGeometry(const Shape& a, const Shape& b, const Shape& y);

// Y [m, n] = alpha * op(A) * op(B) + beta * C, with C broadcast by its strides (0: that axis is not in C).
struct GemmGeometry {
  enum class Operand : uint8_t { kPlain, kTransposed };
  int64_t m = 1;
  int64_t k = 1;
  int64_t n = 1;
  Operand a = Operand::kPlain;
  Operand b = Operand::kPlain;
  float alpha = 1;
  float beta = 1;
  int64_t c_row_stride = 0;
  int64_t c_column_stride = 0;
};
// `geometry` comes with its operand kinds and factors set. `c` is null where there is no C.
absl::StatusOr<GemmGeometry> MakeGemmGeometry(GemmGeometry geometry, const Shape& a, const Shape& b, const Shape* c,
                                              const Shape& y);

// Nested loops over up to three operands that each advance by a stride of their own (in elements, may be 0 or
// negative), outermost first. Adjacent loops that every operand walks as one are merged.
struct LoopNest {
  using Strides = std::array<int64_t, Shape::kMaxRank>;
  size_t rank = 0;
  std::array<int64_t, Shape::kMaxRank> extents = {};
  std::array<Strides, 3> strides = {};
  std::array<int64_t, 3> offsets = {};
};

// Calls row(offset0, offset1, offset2) for each run of the innermost loop. Requires rank >= 1.
template <typename Row>
void ForEachRow(const LoopNest& nest, const Row& row) {
  std::array<int64_t, Shape::kMaxRank> index = {};
  std::array<int64_t, 3> at = nest.offsets;
  for (size_t d = 0; d < nest.rank; ++d) {
    if (nest.extents[d] == 0) {
      return;
    }
  }
  while (true) {
    row(at[0], at[1], at[2]);
    size_t d = nest.rank - 1;
    while (true) {
      if (d == 0) {
        return;
      }
      --d;
      for (size_t o = 0; o < at.size(); ++o) {
        at[o] += nest.strides[o][d];
      }
      if (++index[d] < nest.extents[d]) {
        break;
      }
      for (size_t o = 0; o < at.size(); ++o) {
        at[o] -= nest.strides[o][d] * nest.extents[d];
      }
      index[d] = 0;
    }
  }
}

// Operands 0 and 1 broadcast (numpy) to operand 2.
absl::StatusOr<LoopNest> MakeBroadcast(const Shape& a, const Shape& b, const Shape& y);
// Operand 0 is X, operand 2 is Y; Y's axis i is X's axis permutation[i].
absl::StatusOr<LoopNest> MakeTranspose(const Shape& x, std::span<const int64_t> permutation, const Shape& y);
// Y[i...] = X[starts + i * steps].
absl::StatusOr<LoopNest> MakeSlice(const Shape& x, std::span<const int64_t> starts, std::span<const int64_t> steps,
                                   const Shape& y);
// The part of X that Y = pad(X, begin, end) keeps; negative pads crop.
absl::StatusOr<LoopNest> MakePad(const Shape& x, std::span<const int64_t> begin, std::span<const int64_t> end,
                                 const Shape& y);
// Operand 0 is X, operand 2 is Y, which does not advance along the reduced axes; Y's shape may keep them as 1 or not
// have them.
absl::StatusOr<LoopNest> MakeReduction(const Shape& x, std::span<const int64_t> axes, const Shape& y);

// A tensor seen along one axis: [outer, extent, inner].
struct AxisView {
  int64_t outer = 1;
  int64_t extent = 1;
  int64_t inner = 1;
};
absl::StatusOr<AxisView> MakeAxisView(const Shape& shape, int64_t axis);

}  // namespace shoji::kernels
