// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/geometry.h"

#include <algorithm>
#include <string>

#include "lib/base/status_macros.h"

namespace shoji::kernels {
namespace {

// Larger windows are refused, so that sums and products of window terms and extents (at most 2^40) stay below 2^63.
constexpr int64_t kMaxWindowTerm = INT32_MAX;

absl::Status Mismatch(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::Status CheckWindow(const Window& window, Extents input) {
  for (size_t axis = 0; axis < 2; ++axis) {
    for (const int64_t term : {window.kernel[axis], window.strides[axis], window.dilations[axis]}) {
      if (term < 1 || term > kMaxWindowTerm) {
        return Mismatch("a window's kernel, stride or dilation of " + std::to_string(term));
      }
    }
    for (const int64_t pad : {window.pads[axis], window.pads[axis + 2]}) {
      if (pad < 0 || pad > kMaxWindowTerm) {
        return Mismatch("a window's padding of " + std::to_string(pad));
      }
    }
    const int64_t padded = input[axis] + window.pads[axis] + window.pads[axis + 2];
    if (window.Span(axis) > padded) {
      return Mismatch("a window that covers " + std::to_string(window.Span(axis)) + " over a padded input of " +
                      std::to_string(padded));
    }
  }
  return absl::OkStatus();
}

int64_t NumOutputs(const Window& window, size_t axis, int64_t input, Rounding rounding) {
  const int64_t slack = input + window.pads[axis] + window.pads[axis + 2] - window.Span(axis);
  const int64_t up = rounding == Rounding::kCeil ? window.strides[axis] - 1 : 0;
  return (slack + up) / window.strides[axis] + 1;
}

absl::Status CheckOutput(const Window& window, Extents input, Extents output, Rounding rounding) {
  for (size_t axis = 0; axis < 2; ++axis) {
    // With kCeil an exporter may or may not count a last window that starts in the padding.
    const int64_t least = NumOutputs(window, axis, input[axis], Rounding::kFloor);
    const int64_t most = NumOutputs(window, axis, input[axis], rounding);
    if (output[axis] < least || output[axis] > most) {
      return Mismatch("the window gives " + std::to_string(most) + " outputs, the shape says " +
                      std::to_string(output[axis]));
    }
  }
  return absl::OkStatus();
}

// All 0 for a shape without elements: its other extents are not bounded, and nothing is read.
LoopNest::Strides RowMajorStrides(const Shape& shape) {
  LoopNest::Strides strides = {};
  int64_t stride = shape.num_elements() == 0 ? 0 : 1;
  for (size_t i = shape.rank(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

// Merges loops that every operand walks as one, and drops those that turn once. Leaves at least one.
LoopNest Merge(const LoopNest& nest) {
  LoopNest out;
  const auto extents_end = nest.extents.begin() + static_cast<std::ptrdiff_t>(nest.rank);
  if (std::find(nest.extents.begin(), extents_end, 0) != extents_end) {
    out.rank = 1;  // no turn at all
    return out;
  }
  out.offsets = nest.offsets;
  for (size_t d = 0; d < nest.rank; ++d) {
    if (nest.extents[d] == 1) {
      continue;
    }
    bool joins = out.rank > 0;
    for (size_t o = 0; o < nest.strides.size() && joins; ++o) {
      joins = out.strides[o][out.rank - 1] == nest.strides[o][d] * nest.extents[d];
    }
    if (joins) {
      out.extents[out.rank - 1] *= nest.extents[d];
    } else {
      out.extents[out.rank++] = nest.extents[d];
    }
    for (size_t o = 0; o < nest.strides.size(); ++o) {
      out.strides[o][out.rank - 1] = nest.strides[o][d];
    }
  }
  if (out.rank == 0) {
    out.rank = 1;
    out.extents[0] = 1;
  }
  return out;
}

// Strides of `shape` under the axes of `target`, right-aligned, with 0 where it is broadcast.
absl::StatusOr<LoopNest::Strides> BroadcastStrides(const Shape& shape, const Shape& target) {
  if (shape.rank() > target.rank()) {
    return Mismatch(shape.ToString() + " does not broadcast to " + target.ToString());
  }
  const LoopNest::Strides own = RowMajorStrides(shape);
  LoopNest::Strides out = {};
  const size_t shift = target.rank() - shape.rank();
  for (size_t i = 0; i < shape.rank(); ++i) {
    if (shape[i] != 1 && shape[i] != target[i + shift]) {
      return Mismatch(shape.ToString() + " does not broadcast to " + target.ToString());
    }
    out[i + shift] = shape[i] == 1 ? 0 : own[i];
  }
  return out;
}

LoopNest NestOver(const Shape& shape) {
  LoopNest nest;
  nest.rank = shape.rank();
  std::copy(shape.dims().begin(), shape.dims().end(), nest.extents.begin());
  return nest;
}

absl::StatusOr<Shape> BatchShape(const Shape& shape, size_t matrix_rank) {
  return Shape::Create({shape.dims().begin(), shape.dims().end() - static_cast<std::ptrdiff_t>(matrix_rank)});
}

}  // namespace

Range ValidOutputs(const Window& window, size_t axis, int64_t tap, int64_t input, int64_t output) {
  const int64_t stride = window.strides[axis];
  const int64_t origin = tap * window.dilations[axis] - window.pads[axis];  // input position of output 0
  const int64_t begin = origin >= 0 ? 0 : (-origin + stride - 1) / stride;
  const int64_t last = input - 1 - origin;
  const int64_t end = last < 0 ? 0 : std::min(output, last / stride + 1);
  return {std::min(begin, end), end};
}

absl::StatusOr<ConvGeometry> MakeConvGeometry(const Shape& x, const Shape& w, const Shape& y, int64_t group,
                                              const Window& window) {
  if (x.rank() != 4 || w.rank() != 4 || y.rank() != 4) {
    return Mismatch("a convolution of " + x.ToString() + " with " + w.ToString() + "; both must have rank 4");
  }
  if (group < 1 || x[1] % group != 0 || w[0] % group != 0 || w[1] != x[1] / group || w[2] != window.kernel[0] ||
      w[3] != window.kernel[1]) {
    return Mismatch("weights " + w.ToString() + " do not fit an input of " + x.ToString() + " in " +
                    std::to_string(group) + " groups");
  }
  const ConvGeometry geometry = {x[0], x[1], w[0], group, {x[2], x[3]}, {y[2], y[3]}, window};
  RETURN_IF_ERROR(CheckWindow(window, geometry.input));
  RETURN_IF_ERROR(CheckOutput(window, geometry.input, geometry.output, Rounding::kFloor));
  if (y[0] != x[0] || y[1] != w[0]) {
    return Mismatch("the convolution's output cannot be " + y.ToString());
  }
  return geometry;
}

absl::StatusOr<PoolGeometry> MakePoolGeometry(PoolKind kind, const Shape& x, const Shape& y, const Window& window,
                                              Rounding rounding) {
  if (x.rank() != 4 || y.rank() != 4 || x[0] != y[0] || x[1] != y[1]) {
    return Mismatch("pooling from " + x.ToString() + " to " + y.ToString());
  }
  const PoolGeometry geometry = {kind, x[0], x[1], {x[2], x[3]}, {y[2], y[3]}, window};
  RETURN_IF_ERROR(CheckWindow(window, geometry.input));
  RETURN_IF_ERROR(CheckOutput(window, geometry.input, geometry.output, rounding));
  return geometry;
}

absl::StatusOr<PoolGeometry> MakeGlobalPoolGeometry(const Shape& x) {
  if (x.rank() != 4) {
    return Mismatch("global pooling of " + x.ToString() + "; rank 4 is needed");
  }
  Window window;
  window.kernel = {x[2], x[3]};
  ASSIGN_OR_RETURN(const Shape y, Shape::Create({x[0], x[1], 1, 1}));
  return MakePoolGeometry(PoolKind::kAverageOfInput, x, y, window, Rounding::kFloor);
}

absl::StatusOr<MatMulGeometry> MakeMatMulGeometry(const Shape& a, const Shape& b, const Shape& y) {
  const absl::Status mismatch =
      Mismatch("a matrix product of " + a.ToString() + " and " + b.ToString() + " to " + y.ToString());
  if (a.rank() == 0 || b.rank() == 0) {
    return mismatch;
  }
  const size_t a_rank = std::min<size_t>(a.rank(), 2);
  const size_t b_rank = std::min<size_t>(b.rank(), 2);
  const size_t y_rank = a_rank + b_rank - 2;
  MatMulGeometry geometry;
  geometry.m = a_rank == 2 ? a[a.rank() - 2] : 1;
  geometry.k = a[a.rank() - 1];
  geometry.n = b_rank == 2 ? b[b.rank() - 1] : 1;
  if (b[b.rank() - b_rank] != geometry.k || y.rank() < y_rank) {
    return mismatch;
  }
  ASSIGN_OR_RETURN(const Shape batch, BatchShape(y, y_rank));
  ASSIGN_OR_RETURN(const Shape a_batch, BatchShape(a, a_rank));
  ASSIGN_OR_RETURN(const Shape b_batch, BatchShape(b, b_rank));
  ASSIGN_OR_RETURN(const LoopNest::Strides a_strides, BroadcastStrides(a_batch, batch));
  ASSIGN_OR_RETURN(const LoopNest::Strides b_strides, BroadcastStrides(b_batch, batch));
  size_t matrix_axis = batch.rank();
  if ((a_rank == 2 && y[matrix_axis++] != geometry.m) || (b_rank == 2 && y[matrix_axis] != geometry.n)) {
    return mismatch;
  }
  geometry.batch = batch.dims();
  for (size_t i = 0; i < batch.rank(); ++i) {
    geometry.a_strides.push_back(a_strides[i] == 0 ? 0 : a_strides[i] * geometry.m * geometry.k);
    geometry.b_strides.push_back(b_strides[i] == 0 ? 0 : b_strides[i] * geometry.k * geometry.n);
  }
  return geometry;
}

absl::StatusOr<GemmGeometry> MakeGemmGeometry(GemmGeometry geometry, const Shape& a, const Shape& b, const Shape* c,
                                              const Shape& y) {
  const absl::Status mismatch = Mismatch("a Gemm of " + a.ToString() + " and " + b.ToString() +
                                         (c == nullptr ? "" : " plus " + c->ToString()) + " to " + y.ToString());
  if (a.rank() != 2 || b.rank() != 2 || y.rank() != 2) {
    return mismatch;
  }
  const size_t a_row = geometry.a == GemmGeometry::Operand::kTransposed ? 1 : 0;
  const size_t b_row = geometry.b == GemmGeometry::Operand::kTransposed ? 1 : 0;
  geometry.m = a[a_row];
  geometry.k = a[1 - a_row];
  geometry.n = b[1 - b_row];
  if (b[b_row] != geometry.k || y[0] != geometry.m || y[1] != geometry.n) {
    return mismatch;
  }
  if (c != nullptr) {
    ASSIGN_OR_RETURN(const LoopNest::Strides strides, BroadcastStrides(*c, y));
    geometry.c_row_stride = strides[0];
    geometry.c_column_stride = strides[1];
  }
  return geometry;
}

absl::StatusOr<LoopNest> MakeBroadcast(const Shape& a, const Shape& b, const Shape& y) {
  if (y.rank() != std::max(a.rank(), b.rank())) {
    return Mismatch(a.ToString() + " and " + b.ToString() + " do not broadcast to " + y.ToString());
  }
  LoopNest nest = NestOver(y);
  ASSIGN_OR_RETURN(nest.strides[0], BroadcastStrides(a, y));
  ASSIGN_OR_RETURN(nest.strides[1], BroadcastStrides(b, y));
  nest.strides[2] = RowMajorStrides(y);
  for (size_t i = 0; i < y.rank(); ++i) {
    const auto extent = [&](const Shape& s) { return i + s.rank() < y.rank() ? 1 : s[i + s.rank() - y.rank()]; };
    if (y[i] != 1 && extent(a) != y[i] && extent(b) != y[i]) {
      return Mismatch(a.ToString() + " and " + b.ToString() + " do not broadcast to " + y.ToString());
    }
  }
  return Merge(nest);
}

absl::StatusOr<LoopNest> MakeTranspose(const Shape& x, std::span<const int64_t> permutation, const Shape& y) {
  if (permutation.size() != x.rank() || y.rank() != x.rank()) {
    return Mismatch("a transposition of " + x.ToString() + " to " + y.ToString());
  }
  const LoopNest::Strides own = RowMajorStrides(x);
  LoopNest nest = NestOver(y);
  nest.strides[2] = RowMajorStrides(y);
  std::array<bool, Shape::kMaxRank> seen = {};
  for (size_t i = 0; i < x.rank(); ++i) {
    const auto from = static_cast<size_t>(permutation[i]);
    if (permutation[i] < 0 || from >= x.rank() || seen[from] || y[i] != x[from]) {
      return Mismatch("a transposition of " + x.ToString() + " to " + y.ToString() + " by a wrong permutation");
    }
    seen[from] = true;
    nest.strides[0][i] = own[from];
  }
  return Merge(nest);
}

absl::StatusOr<LoopNest> MakeSlice(const Shape& x, std::span<const int64_t> starts, std::span<const int64_t> steps,
                                   const Shape& y) {
  const absl::Status mismatch = Mismatch("a slice of " + x.ToString() + " to " + y.ToString());
  if (starts.size() != x.rank() || steps.size() != x.rank() || y.rank() != x.rank()) {
    return mismatch;
  }
  const LoopNest::Strides own = RowMajorStrides(x);
  LoopNest nest = NestOver(y);
  nest.strides[2] = RowMajorStrides(y);
  for (size_t i = 0; i < x.rank(); ++i) {
    if (y[i] == 0) {
      continue;
    }
    int64_t last = 0;
    if (__builtin_mul_overflow(steps[i], y[i] - 1, &last) || __builtin_add_overflow(starts[i], last, &last) ||
        starts[i] < 0 || starts[i] >= x[i] || last < 0 || last >= x[i]) {
      return mismatch;
    }
    nest.strides[0][i] = y[i] == 1 ? 0 : own[i] * steps[i];
    nest.offsets[0] += own[i] * starts[i];
  }
  return Merge(nest);
}

absl::StatusOr<LoopNest> MakePad(const Shape& x, std::span<const int64_t> begin, std::span<const int64_t> end,
                                 const Shape& y) {
  const absl::Status mismatch = Mismatch("a padding of " + x.ToString() + " to " + y.ToString());
  if (begin.size() != x.rank() || end.size() != x.rank() || y.rank() != x.rank()) {
    return mismatch;
  }
  LoopNest nest;
  nest.rank = x.rank();
  nest.strides[0] = RowMajorStrides(x);
  nest.strides[2] = RowMajorStrides(y);
  for (size_t i = 0; i < x.rank(); ++i) {
    constexpr int64_t kLimit = Shape::kMaxElements;
    if (begin[i] < -kLimit || begin[i] > kLimit || end[i] < -kLimit || end[i] > kLimit ||
        y[i] != x[i] + begin[i] + end[i]) {
      return mismatch;
    }
    const int64_t first = std::max<int64_t>(0, begin[i]);  // kept positions, in y
    const int64_t last = std::min(y[i], x[i] + begin[i]);
    nest.extents[i] = std::max<int64_t>(0, last - first);
    if (nest.extents[i] > 0) {
      nest.offsets[0] += (first - begin[i]) * nest.strides[0][i];
      nest.offsets[2] += first * nest.strides[2][i];
    }
  }
  return Merge(nest);
}

absl::StatusOr<LoopNest> MakeReduction(const Shape& x, std::span<const int64_t> axes, const Shape& y) {
  const absl::Status mismatch = Mismatch("a reduction of " + x.ToString() + " to " + y.ToString());
  std::array<bool, Shape::kMaxRank> reduced = {};
  for (const int64_t axis : axes) {
    if (axis < 0 || static_cast<size_t>(axis) >= x.rank() || reduced[static_cast<size_t>(axis)]) {
      return mismatch;
    }
    reduced[static_cast<size_t>(axis)] = true;
  }
  const bool keeps = y.rank() == x.rank();
  if (!keeps && y.rank() + axes.size() != x.rank()) {
    return mismatch;
  }
  const LoopNest::Strides to = RowMajorStrides(y);
  LoopNest nest = NestOver(x);
  nest.strides[0] = RowMajorStrides(x);
  size_t at = 0;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (reduced[i] && !keeps) {
      continue;
    }
    if (y[at] != (reduced[i] ? 1 : x[i])) {
      return mismatch;
    }
    nest.strides[2][i] = reduced[i] ? 0 : to[at];
    ++at;
  }
  return Merge(nest);
}

absl::StatusOr<AxisView> MakeAxisView(const Shape& shape, int64_t axis) {
  if (axis < 0 || static_cast<size_t>(axis) >= shape.rank()) {
    return Mismatch("axis " + std::to_string(axis) + " of " + shape.ToString());
  }
  AxisView view;
  if (shape.num_elements() == 0) {
    return AxisView{0, shape[static_cast<size_t>(axis)], 0};
  }
  for (size_t i = 0; i < shape.rank(); ++i) {
    int64_t& part = i < static_cast<size_t>(axis)    ? view.outer
                    : i == static_cast<size_t>(axis) ? view.extent
                                                     : view.inner;
    part *= shape[i];
  }
  return view;
}

}  // namespace shoji::kernels
