// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <oneapi/dnnl/dnnl_types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace shoji::kernels::onednn {

// How a float32 tensor lies in memory: oneDNN's own description. A value type; thread-compatible.
class Layout {
 public:
  Layout() = default;  // of nothing
  explicit Layout(const dnnl_memory_desc_t& desc) : desc_(desc) {}

  // Row-major, as in a Tensor. A scalar becomes one extent of 1. INVALID_ARGUMENT for a rank that oneDNN does not take.
  static absl::StatusOr<Layout> Plain(std::span<const int64_t> dims);
  static absl::StatusOr<Layout> Strided(std::span<const int64_t> dims, std::span<const int64_t> strides);

  // An image [batch, channels, height, width] with channels in blocks of `block` (8 or 16), the last of them padded.
  static absl::StatusOr<Layout> Blocked(std::span<const int64_t> dims, size_t block);

  std::vector<int64_t> dims() const { return {desc_.dims, desc_.dims + desc_.ndims}; }
  // Padding of blocks included.
  size_t size_bytes() const;
  // Whether the bytes are those of a row-major tensor, though the description may be another (one block of channels
  // over a single pixel, for instance).
  bool HasPlainBytes() const;
  // The layout of `channels` channels that begins with this tensor's and goes on with others', tensor behind tensor;
  // none where a tensor of more channels mixes their bytes, or blocks are not full. Requires rank >= 2.
  std::optional<Layout> Stacked(int64_t channels) const;
  bool operator==(const Layout& other) const;

  const dnnl_memory_desc_t& desc() const { return desc_; }

 private:
  dnnl_memory_desc_t desc_ = {};
};

}  // namespace shoji::kernels::onednn
