// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/linear.h"

#include <algorithm>
#include <array>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/kernels/onednn/make.h"

namespace shoji::kernels::onednn {
namespace {

constexpr std::array<ArgumentQuery, 3> kLinearInputs = {{{DNNL_ARG_SRC, dnnl_query_src_md, 0},
                                                         {DNNL_ARG_WEIGHTS, dnnl_query_weights_md, 0},
                                                         {DNNL_ARG_BIAS, dnnl_query_weights_md, 1}}};
constexpr ArgumentQuery kOutput = {DNNL_ARG_DST, dnnl_query_dst_md, 0};

std::span<const ArgumentQuery> LinearInputs(Bias bias) {
  return std::span<const ArgumentQuery>(kLinearInputs).first(bias == Bias::kPresent ? 3 : 2);
}

bool AllPositive(std::span<const int64_t> extents) {
  return std::all_of(extents.begin(), extents.end(), [](int64_t extent) { return extent > 0 && extent <= INT32_MAX; });
}

// oneDNN unrolls code over the kernel and computes offsets with 32 bits: windows that no network has stay with the
// reference kernel, whose arithmetic holds for all.
bool IsOrdinary(const Window& window) {
  constexpr int64_t kMaxKernel = 31;
  constexpr int64_t kMaxStep = 1024;
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t pad = std::max(window.pads[axis], window.pads[axis + 2]);
    if (window.kernel[axis] > kMaxKernel || window.strides[axis] > kMaxStep || window.dilations[axis] > kMaxStep ||
        pad >= std::max<int64_t>(window.Span(axis), 2)) {
      return false;
    }
  }
  return true;
}

absl::StatusOr<dnnl_memory_desc_t> ActivationLayout(ConvLayout layout, std::span<const int64_t> dims) {
  constexpr int64_t kFewChannels = 7;
  if (layout == ConvLayout::kAny || dims[1] <= kFewChannels) {
    return AnyLayout(dims);
  }
  ASSIGN_OR_RETURN(const Layout blocked, Layout::Blocked(dims, ChannelBlock()));
  return blocked.desc();
}

absl::StatusOr<dnnl_convolution_desc_t> DescribeConvolution(const ConvGeometry& g, Bias bias, ConvLayout layout) {
  const std::array<int64_t, 4> x_dims = {g.batch, g.in_channels, g.input[0], g.input[1]};
  const std::array<int64_t, 4> y_dims = {g.batch, g.out_channels, g.output[0], g.output[1]};
  std::vector<int64_t> w_dims = {g.out_channels / g.group, g.in_channels / g.group, g.window.kernel[0],
                                 g.window.kernel[1]};
  if (g.group > 1) {
    w_dims.insert(w_dims.begin(), g.group);
  }
  if (!AllPositive(x_dims) || !AllPositive(y_dims) || !AllPositive(w_dims) || !IsOrdinary(g.window)) {
    return absl::UnimplementedError("a convolution of unusual extents");
  }
  ASSIGN_OR_RETURN(const dnnl_memory_desc_t x, ActivationLayout(layout, x_dims));
  ASSIGN_OR_RETURN(const dnnl_memory_desc_t w, AnyLayout(w_dims));
  ASSIGN_OR_RETURN(const dnnl_memory_desc_t b, AnyLayout({{g.out_channels}}));
  ASSIGN_OR_RETURN(const dnnl_memory_desc_t y, ActivationLayout(layout, y_dims));
  const std::array<int64_t, 2> dilations = {g.window.dilations[0] - 1, g.window.dilations[1] - 1};
  std::array<int64_t, 2> end_pads = {};
  for (size_t axis = 0; axis < 2; ++axis) {
    // What the windows really reach; less than the stated padding where the stride does not divide.
    end_pads[axis] =
        (g.output[axis] - 1) * g.window.strides[axis] + g.window.Span(axis) - g.input[axis] - g.window.pads[axis];
  }
  dnnl_convolution_desc_t operation = {};
  RETURN_IF_DNNL_ERROR(dnnl_dilated_convolution_forward_desc_init(
      &operation, dnnl_forward_inference, dnnl_convolution_direct, &x, &w, bias == Bias::kPresent ? &b : nullptr, &y,
      g.window.strides.data(), dilations.data(), g.window.pads.data(), end_pads.data()));
  return operation;
}

}  // namespace

size_t ChannelBlock() {
  return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core ? 16 : 8;
}

absl::StatusOr<Primitive> MakeConvolution(const Engine& engine, const ConvGeometry& geometry, Bias bias,
                                          const PostOps& post_ops, ConvLayout layout) {
  ASSIGN_OR_RETURN(const dnnl_convolution_desc_t operation, DescribeConvolution(geometry, bias, layout));
  return BuildBest(engine, &operation, post_ops, LinearInputs(bias), kOutput);
}

absl::StatusOr<Primitive> MakeInnerProduct(const Engine& engine, const GemmGeometry& geometry, Bias bias,
                                           const PostOps& post_ops) {
  if (!AllPositive({{geometry.m, geometry.k, geometry.n}})) {
    return absl::UnimplementedError("a matrix product of unusual extents");
  }
  ASSIGN_OR_RETURN(const Layout x, Layout::Plain({{geometry.m, geometry.k}}));
  ASSIGN_OR_RETURN(const dnnl_memory_desc_t w, AnyLayout({{geometry.n, geometry.k}}));
  ASSIGN_OR_RETURN(const dnnl_memory_desc_t b, AnyLayout({{geometry.n}}));
  ASSIGN_OR_RETURN(const Layout y, Layout::Plain({{geometry.m, geometry.n}}));
  dnnl_inner_product_desc_t operation = {};
  RETURN_IF_DNNL_ERROR(dnnl_inner_product_forward_desc_init(&operation, dnnl_forward_inference, &x.desc(), &w,
                                                            bias == Bias::kPresent ? &b : nullptr, &y.desc()));
  return BuildBest(engine, &operation, post_ops, LinearInputs(bias), kOutput);
}

absl::StatusOr<Primitive> MakeMatMul(const Engine& engine, const MatMulGeometry& geometry) {
  std::vector<int64_t> a_dims;
  std::vector<int64_t> b_dims;
  for (size_t i = 0; i < geometry.batch.size(); ++i) {
    a_dims.push_back(geometry.a_strides[i] == 0 ? 1 : geometry.batch[i]);
    b_dims.push_back(geometry.b_strides[i] == 0 ? 1 : geometry.batch[i]);
  }
  std::vector<int64_t> y_dims = geometry.batch;
  a_dims.insert(a_dims.end(), {geometry.m, geometry.k});
  b_dims.insert(b_dims.end(), {geometry.k, geometry.n});
  y_dims.insert(y_dims.end(), {geometry.m, geometry.n});
  if (!AllPositive(a_dims) || !AllPositive(b_dims) || !AllPositive(y_dims)) {
    return absl::UnimplementedError("a matrix product of unusual extents");
  }
  ASSIGN_OR_RETURN(const Layout a, Layout::Plain(a_dims));
  ASSIGN_OR_RETURN(const Layout b, Layout::Plain(b_dims));
  ASSIGN_OR_RETURN(const Layout y, Layout::Plain(y_dims));
  dnnl_matmul_desc_t operation = {};
  RETURN_IF_DNNL_ERROR(dnnl_matmul_desc_init(&operation, &a.desc(), &b.desc(), nullptr, &y.desc()));
  return BuildBest(engine, &operation, {}, LinearInputs(Bias::kAbsent), kOutput);
}

}  // namespace shoji::kernels::onednn
