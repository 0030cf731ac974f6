// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/layout.h"

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <array>

namespace shoji::kernels::onednn {
namespace {

struct Loop {
  int64_t axis = 0;
  int64_t extent = 1;
  int64_t stride = 0;
};

// The loops that walk a blocked layout in the order of memory, those of one turn left out: first the outer loops by
// falling stride, then the blocks.
std::vector<Loop> LoopsOf(const dnnl_memory_desc_t& desc) {
  const dnnl_blocking_desc_t& blocking = desc.format_desc.blocking;
  std::array<int64_t, DNNL_MAX_NDIMS> blocks = {};
  blocks.fill(1);
  for (int i = 0; i < blocking.inner_nblks; ++i) {
    blocks[static_cast<size_t>(blocking.inner_idxs[i])] *= blocking.inner_blks[i];
  }
  std::vector<Loop> loops;
  for (int64_t axis = 0; axis < desc.ndims; ++axis) {
    const int64_t extent = desc.padded_dims[axis] / blocks[static_cast<size_t>(axis)];
    if (extent != 1) {
      loops.push_back({axis, extent, blocking.strides[axis]});
    }
  }
  std::stable_sort(loops.begin(), loops.end(), [](const Loop& a, const Loop& b) { return a.stride > b.stride; });
  for (int i = 0; i < blocking.inner_nblks; ++i) {
    if (blocking.inner_blks[i] != 1) {
      loops.push_back({blocking.inner_idxs[i], blocking.inner_blks[i], 0});
    }
  }
  return loops;
}

}  // namespace

absl::StatusOr<Layout> Layout::Plain(std::span<const int64_t> dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t stride = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    strides[i] = stride;
    if (__builtin_mul_overflow(stride, std::max<int64_t>(dims[i], 1), &stride)) {
      return absl::InvalidArgumentError("a tensor whose extents overflow");
    }
  }
  return Strided(dims, strides);
}

absl::StatusOr<Layout> Layout::Strided(std::span<const int64_t> dims, std::span<const int64_t> strides) {
  Layout out;
  constexpr int64_t kOne[] = {1};
  const std::span<const int64_t> extents = dims.empty() ? std::span<const int64_t>(kOne) : dims;
  const std::span<const int64_t> steps = strides.empty() ? std::span<const int64_t>(kOne) : strides;
  if (extents.size() > DNNL_MAX_NDIMS || steps.size() != extents.size() ||
      dnnl_memory_desc_init_by_strides(&out.desc_, static_cast<int>(extents.size()), extents.data(), dnnl_f32,
                                       steps.data()) != dnnl_success) {
    return absl::InvalidArgumentError("a tensor of rank " + std::to_string(dims.size()) + " has no oneDNN layout");
  }
  return out;
}

absl::StatusOr<Layout> Layout::Blocked(std::span<const int64_t> dims, size_t block) {
  Layout out;
  if (dims.size() != 4 || dnnl_memory_desc_init_by_tag(&out.desc_, 4, dims.data(), dnnl_f32,
                                                       block == 16 ? dnnl_nChw16c : dnnl_nChw8c) != dnnl_success) {
    return absl::InvalidArgumentError("no image that has a layout of blocks");
  }
  return out;
}

size_t Layout::size_bytes() const { return dnnl_memory_desc_get_size(&desc_); }

bool Layout::HasPlainBytes() const {
  if (desc_.format_kind != dnnl_blocked || desc_.offset0 != 0 ||
      !std::equal(desc_.dims, desc_.dims + desc_.ndims, desc_.padded_dims)) {
    return false;
  }
  const std::vector<Loop> loops = LoopsOf(desc_);
  const bool ascending =
      std::is_sorted(loops.begin(), loops.end(), [](const Loop& a, const Loop& b) { return a.axis < b.axis; });
  size_t elements = 1;
  for (const Loop& loop : loops) {
    elements *= static_cast<size_t>(loop.extent);
  }
  return ascending && elements * sizeof(float) == size_bytes();  // no gaps
}

std::optional<Layout> Layout::Stacked(int64_t channels) const {
  if (desc_.ndims < 2 || desc_.format_kind != dnnl_blocked || desc_.offset0 != 0 || desc_.dims[0] != 1 ||
      !std::equal(desc_.dims, desc_.dims + desc_.ndims, desc_.padded_dims)) {
    return std::nullopt;
  }
  const dnnl_blocking_desc_t& blocking = desc_.format_desc.blocking;
  int64_t block = 1;
  for (int i = 0; i < blocking.inner_nblks; ++i) {
    if (blocking.inner_idxs[i] != 1) {
      return std::nullopt;
    }
    block *= blocking.inner_blks[i];
  }
  int64_t elements = block;  // of what lies within a block of channels
  for (int axis = 2; axis < desc_.ndims; ++axis) {
    elements *= desc_.dims[axis];
  }
  if (blocking.strides[1] != elements || desc_.dims[1] % block != 0 || channels % block != 0) {
    return std::nullopt;
  }
  dnnl_memory_desc_t whole = desc_;
  whole.dims[1] = whole.padded_dims[1] = channels;
  whole.format_desc.blocking.strides[0] = elements * (channels / block);
  return Layout(whole);
}

bool Layout::operator==(const Layout& other) const { return dnnl_memory_desc_equal(&desc_, &other.desc_) != 0; }

}  // namespace shoji::kernels::onednn
