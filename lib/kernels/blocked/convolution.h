// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Kernels on one image whose channels lie in blocks of a vector: those of our own that beat oneDNN's. Activations are
// exact to a few units of 1e-7.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "lib/kernels/blocked/ops.h"
#include "lib/kernels/geometry.h"

namespace shoji::kernels::blocked {

// The table for vectors of `lanes` float32; null where this CPU has no such vectors.
const Ops* OpsFor(size_t lanes);

// A 3x3 convolution by Winograd's method. Immutable and thread-safe.
class WinogradConvolution {
 public:
  // Outputs in tiles of `tile` x `tile`, 2 or 4. None for a convolution that is not 3x3 with steps of one cell and full
  // blocks of channels. `ops` must outlive it.
  static std::optional<WinogradConvolution> Create(const Ops& ops, const ConvGeometry& geometry, size_t tile);

  size_t packed_elements() const { return cells() * in_channels() * out_channels(); }
  size_t scratch_bytes() const { return cells() * (in_channels() + out_channels()) * tiles_per_pass_ * sizeof(float); }

  // `weights` row-major [out][in][3][3]; `packed` has packed_elements().
  void Pack(std::span<const float> weights, std::span<float> packed) const;
  // `finish.bias` is there. `scratch` is aligned as vectors are.
  void Run(const float* x, const float* packed, const Finish& finish, float* y, std::span<uint8_t> scratch) const;

 private:
  WinogradConvolution(const Ops& ops, const ConvGeometry& geometry, size_t tile);
  size_t cells() const { return (tile_ + 2) * (tile_ + 2); }
  size_t in_channels() const { return static_cast<size_t>(geometry_.in_channels); }
  size_t out_channels() const { return static_cast<size_t>(geometry_.out_channels); }

  const Ops* ops_;
  ConvGeometry geometry_;
  size_t tile_;
  size_t num_tiles_;
  size_t tiles_per_pass_;
};

}  // namespace shoji::kernels::blocked
