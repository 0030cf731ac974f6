// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/blocked/convolution.h"

#include <algorithm>

#include "lib/base/check.h"

namespace shoji::kernels::blocked {
namespace {

// What a pass transforms stays in the core's cache, unless the weights, which every pass reads, are too large for the
// cache that all cores share.
constexpr size_t kPassBytes = size_t{1} << 20;
constexpr size_t kLargePassBytes = size_t{8} << 20;
constexpr size_t kLargeWeights = size_t{16} << 20;
constexpr size_t kFewTiles = 14;

}  // namespace

const Ops* OpsFor(size_t lanes) {
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("fma");
  if (lanes == OpsAvx512().lanes) {
    return has_avx512 ? &OpsAvx512() : nullptr;
  }
  return lanes == OpsAvx2().lanes && has_avx2 ? &OpsAvx2() : nullptr;
}

std::optional<WinogradConvolution> WinogradConvolution::Create(const Ops& ops, const ConvGeometry& geometry,
                                                               size_t tile) {
  const ConvGeometry& g = geometry;
  const auto lanes = static_cast<int64_t>(ops.lanes);
  const Extents one = {1, 1};
  constexpr int64_t kMostPadding = 2;  // no window lies outside
  constexpr int64_t kMostExtent = int64_t{1} << 20;
  const auto is_ordinary = [](int64_t extent) { return extent > 0 && extent <= kMostExtent; };
  const bool suits =
      g.batch == 1 && g.group == 1 && g.window.kernel == Extents{3, 3} && g.window.strides == one &&
      g.window.dilations == one && g.in_channels % lanes == 0 && g.out_channels % lanes == 0 &&
      is_ordinary(g.in_channels) && is_ordinary(g.out_channels) && is_ordinary(g.input[0]) && is_ordinary(g.input[1]) &&
      is_ordinary(g.output[0]) && is_ordinary(g.output[1]) &&
      std::all_of(g.window.pads.begin(), g.window.pads.end(), [](int64_t pad) { return pad <= kMostPadding; });
  return suits ? std::optional(WinogradConvolution(ops, geometry, tile)) : std::nullopt;
}

WinogradConvolution::WinogradConvolution(const Ops& ops, const ConvGeometry& geometry, size_t tile)
    : ops_(&ops), geometry_(geometry), tile_(tile) {
  SHOJI_CHECK(tile == 2 || tile == 4);
  const auto across = [&](size_t axis) { return (static_cast<size_t>(geometry.output[axis]) + tile - 1) / tile; };
  num_tiles_ = across(0) * across(1);
  const size_t weight_bytes = packed_elements() * sizeof(float);
  const size_t tile_bytes = cells() * (in_channels() + out_channels()) * sizeof(float);
  const size_t pass_bytes = weight_bytes > kLargeWeights ? kLargePassBytes : kPassBytes;
  const size_t most = std::max(pass_bytes / tile_bytes, kFewTiles);
  const size_t passes = (num_tiles_ + most - 1) / most;
  tiles_per_pass_ = (num_tiles_ + passes - 1) / passes;
}

void WinogradConvolution::Pack(std::span<const float> weights, std::span<float> packed) const {
  SHOJI_CHECK(weights.size() == in_channels() * out_channels() * 9 && packed.size() == packed_elements());
  PackArgs args;
  args.tile = tile_;
  args.in_channels = in_channels();
  args.out_channels = out_channels();
  args.weights = weights.data();
  args.packed = packed.data();
  ops_->pack_winograd(args);
}

void WinogradConvolution::Run(const float* x, const float* packed, const Finish& finish, float* y,
                              std::span<uint8_t> scratch) const {
  SHOJI_CHECK(scratch.size() >= scratch_bytes());
  WinogradArgs args;
  args.tile = tile_;
  args.in_blocks = in_channels() / ops_->lanes;
  args.out_blocks = out_channels() / ops_->lanes;
  for (size_t axis = 0; axis < 2; ++axis) {
    args.input[axis] = static_cast<size_t>(geometry_.input[axis]);
    args.output[axis] = static_cast<size_t>(geometry_.output[axis]);
    args.pads[axis] = static_cast<size_t>(geometry_.window.pads[axis]);
  }
  args.x = x;
  args.weights = packed;
  args.transformed_x = reinterpret_cast<float*>(scratch.data());
  args.transformed_y = args.transformed_x + cells() * in_channels() * tiles_per_pass_;
  args.finish = finish;
  args.y = y;
  for (args.first_tile = 0; args.first_tile < num_tiles_; args.first_tile += tiles_per_pass_) {
    args.num_tiles = std::min(tiles_per_pass_, num_tiles_ - args.first_tile);
    ops_->winograd(args);
  }
}

}  // namespace shoji::kernels::blocked
