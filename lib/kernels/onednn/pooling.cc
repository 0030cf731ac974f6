// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/pooling.h"

#include <array>

#include "lib/base/status_macros.h"
#include "lib/kernels/onednn/make.h"

namespace shoji::kernels::onednn {
namespace {

constexpr std::array<ArgumentQuery, 1> kInput = {{{DNNL_ARG_SRC, dnnl_query_src_md, 0}}};
constexpr ArgumentQuery kOutput = {DNNL_ARG_DST, dnnl_query_dst_md, 0};

// How far the windows reach over the input's end along `axis`; negative where they stop before it.
int64_t Overhang(const PoolGeometry& g, size_t axis) {
  return (g.output[axis] - 1) * g.window.strides[axis] + g.window.Span(axis) - g.input[axis] - g.window.pads[axis];
}

// Every window covers a cell of the input, none is dilated, and nothing is large enough to unroll code without end.
bool IsOrdinary(const PoolGeometry& g) {
  constexpr int64_t kMaxKernel = 31;
  constexpr int64_t kMaxStride = 1024;
  for (size_t axis = 0; axis < 2; ++axis) {
    const bool rows_of_one_column = axis == 0 && g.window.kernel[1] == 1;
    if (g.window.dilations[axis] != 1 || g.window.strides[axis] > kMaxStride ||
        (g.window.kernel[axis] > kMaxKernel && !rows_of_one_column) || g.window.pads[axis] >= g.window.kernel[axis] ||
        Overhang(g, axis) >= g.window.kernel[axis]) {
      return false;
    }
    // oneDNN counts the part of a window that hangs over the stated padding, ONNX does not.
    if (g.kind == PoolKind::kAverageOfPadded && Overhang(g, axis) > g.window.pads[axis + 2]) {
      return false;
    }
  }
  return g.batch > 0 && g.channels > 0;
}

dnnl_alg_kind_t AlgorithmOf(PoolKind kind) {
  switch (kind) {
    case PoolKind::kMax:
      return dnnl_pooling_max;
    case PoolKind::kAverageOfInput:
      return dnnl_pooling_avg_exclude_padding;
    case PoolKind::kAverageOfPadded:
      return dnnl_pooling_avg_include_padding;
  }
  return dnnl_alg_kind_undef;
}

bool IsGlobal(const PoolGeometry& g) {
  return g.window.kernel == g.input && g.output == Extents{1, 1} && g.window.pads == std::array<int64_t, 4>{};
}

absl::StatusOr<Primitive> Make(const Engine& engine, const PoolGeometry& g, const Layout& x) {
  if (!IsOrdinary(g)) {
    return absl::UnimplementedError("pooling with an unusual window");
  }
  ASSIGN_OR_RETURN(const dnnl_memory_desc_t y, AnyLayout({{g.batch, g.channels, g.output[0], g.output[1]}}));
  const std::array<int64_t, 2> end_pads = {Overhang(g, 0), Overhang(g, 1)};
  dnnl_pooling_desc_t operation = {};
  RETURN_IF_DNNL_ERROR(dnnl_pooling_forward_desc_init(&operation, dnnl_forward_inference, AlgorithmOf(g.kind),
                                                      &x.desc(), &y, g.window.strides.data(), g.window.kernel.data(),
                                                      g.window.pads.data(), end_pads.data()));
  return BuildBest(engine, &operation, {}, kInput, kOutput);
}

// [n, c, h, w] seen as [n, c, h * w, 1]; UNIMPLEMENTED for a layout whose rows do not follow each other.
absl::StatusOr<Layout> AsOneColumn(const Layout& x) {
  dnnl_memory_desc_t view = x.desc();
  dnnl_blocking_desc_t& blocking = view.format_desc.blocking;
  if (view.ndims != 4 || view.format_kind != dnnl_blocked || view.padded_dims[2] != view.dims[2] ||
      view.padded_dims[3] != view.dims[3] || blocking.strides[2] != blocking.strides[3] * view.dims[3]) {
    return absl::UnimplementedError("a layout that is not one of rows");
  }
  view.dims[2] = view.padded_dims[2] = view.dims[2] * view.dims[3];
  view.dims[3] = view.padded_dims[3] = 1;
  blocking.strides[2] = blocking.strides[3];
  return Layout(view);
}

}  // namespace

absl::StatusOr<Primitive> MakePooling(const Engine& engine, const PoolGeometry& geometry, const Layout& x) {
  if (!IsGlobal(geometry)) {
    return Make(engine, geometry, x);
  }
  // One column: oneDNN unrolls its code over columns and loops over rows.
  PoolGeometry column = geometry;
  column.input = column.window.kernel = {geometry.input[0] * geometry.input[1], 1};
  column.window.strides = {1, 1};
  ASSIGN_OR_RETURN(const Layout view, AsOneColumn(x));
  ASSIGN_OR_RETURN(const Primitive made, Make(engine, column, view));
  std::vector<Argument> inputs = made.inputs();
  inputs[0].layout = x;
  return made.WithInputs(std::move(inputs));
}

}  // namespace shoji::kernels::onednn
