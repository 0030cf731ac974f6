// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// LinearKernel by blocks of input in the cache, panels of weights and tiles of accumulators in registers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/input_blocks.h"
#include "lib/kernels/ring/linear.h"
#include "lib/kernels/ring/ops.h"
#include "lib/kernels/ring/packed_weights.h"

namespace shoji::kernels::ring {

// Thread-safe.
class BlockedKernel final : public LinearKernel {
 public:
  // Whether the steps of `ops` fall on the borders of the groups.
  static bool Takes(const ConvGeometry& geometry, const Ops& ops);

  // `ops` must outlive it.
  BlockedKernel(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops, int num_threads);

  const ConvGeometry& geometry() const override { return geometry_; }
  size_t weight_bytes() const override { return weights_.size_bytes(); }
  size_t scratch_bytes(size_t num_limbs) const override;
  void Run(Ring ring, const LinearInput& input, RowRange rows, std::span<uint8_t> words,
           std::span<uint8_t> scratch) const override;
  void RunBatch(Ring ring, std::span<const BatchRun> runs) const override;

 private:
  void RunBlock(Ring ring, const InputBlocks& blocks, const Block& block, std::span<const Panel> panels,
                uint8_t* words) const;

  const ConvGeometry geometry_;
  const Ops& ops_;
  const size_t tile_pixels_;
  const PackedWeights weights_;
};

// LinearKernel where each channel is convolved with itself alone. Thread-safe.
class DepthwiseKernel final : public LinearKernel {
 public:
  static bool Takes(const ConvGeometry& geometry);

  // `ops` work on words and must outlive it.
  DepthwiseKernel(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops);

  const ConvGeometry& geometry() const override { return geometry_; }
  size_t weight_bytes() const override { return weights_.size() * sizeof(uint32_t); }
  size_t scratch_bytes(size_t num_limbs) const override;
  void Run(Ring ring, const LinearInput& input, RowRange rows, std::span<uint8_t> words,
           std::span<uint8_t> scratch) const override;

 private:
  const ConvGeometry geometry_;
  const Ops& ops_;
  size_t weight_channels_ = 0;
  std::vector<uint32_t> weights_;  // [kernel row][kernel column][channel, padded to 16]
};

}  // namespace shoji::kernels::ring
