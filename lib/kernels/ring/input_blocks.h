// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How a layer's output is cut into blocks whose input fits into a cache, and how the input of a block gets to where the
// inner loops read it: positions one after the other with the padding among them, so that no loop asks where the border
// is. Where the loops can read the limbs as they came (limbs stay apart, no padding beside the rows), nothing is
// copied.
//
// In scratch memory: a table of row pointers; one row of padding, for rows above and below the input; the rows of the
// block. A row is [limb][position][channel], each limb starting at a multiple of 64 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/linear.h"
#include "lib/kernels/ring/ops.h"

namespace shoji::kernels::ring {

// Of the output.
struct Block {
  Range rows;
  Range columns;
};

// Thread-compatible; lives as long as one run. `geometry` and `ops` must outlive it.
class InputBlocks {
 public:
  // `tile_pixels` is the smallest number of columns worth a block of its own.
  InputBlocks(const ConvGeometry& geometry, const Ops& ops, size_t num_limbs, size_t tile_pixels);

  size_t scratch_bytes() const;
  int64_t rows_per_block() const { return rows_per_block_; }
  int64_t columns_per_block() const { return columns_per_block_; }

  size_t pixel_bytes() const { return pixel_bytes_; }
  size_t limb_bytes() const { return limb_bytes_; }
  // Of the input.
  size_t num_limbs() const { return num_limbs_; }

  // Starts a run on `input`. Both outlive it.
  void Begin(const LinearInput& input, std::span<uint8_t> scratch);
  void Load(const Block& block);
  // For output row `row` of the loaded block: for each kernel row, where the input of the block's first column is.
  const uint8_t* const* RowsOf(int64_t row) const;

 private:
  // Limbs that stay apart in scratch memory.
  size_t NumPlanes() const { return ops_.element_bytes == 1 ? num_limbs_ : 1; }
  void ChooseExtents(size_t tile_pixels);
  size_t NumSlots(int64_t rows) const;
  int64_t InputColumns(int64_t columns) const;
  size_t ScratchLimbBytes(int64_t columns) const;
  size_t BlockBytes(int64_t rows, int64_t columns) const;
  void LoadRow(int64_t input_row, int64_t first_column, int64_t columns, uint8_t* out) const;
  const uint8_t* InPlace(int64_t input_row, int64_t first_column) const;

  const ConvGeometry& g_;
  const Ops& ops_;
  const size_t num_limbs_;
  const size_t pixel_bytes_;
  const bool in_place_;
  int64_t rows_per_block_ = 1;
  int64_t columns_per_block_ = 1;
  size_t limb_bytes_ = 0;
  size_t slot_bytes_ = 0;

  LinearInput input_;
  const uint8_t** table_ = nullptr;
  uint8_t* slots_ = nullptr;  // the first is all padding
  Block block_;
};

}  // namespace shoji::kernels::ring
