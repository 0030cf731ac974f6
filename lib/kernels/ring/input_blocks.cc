// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/ring/input_blocks.h"

#include <algorithm>
#include <limits>

namespace shoji::kernels::ring {
namespace {

constexpr size_t kCacheBytes = size_t{384} << 10;  // a part of the second-level cache; the weights need the rest
constexpr size_t kAlignment = 64;

size_t AlignUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// What the windows reach of the input and its padding, along one axis.
int64_t Reach(const ConvGeometry& g, size_t axis, int64_t outputs) {
  return (outputs - 1) * g.window.strides[axis] + g.window.Span(axis);
}

bool ReadsBesideRows(const ConvGeometry& g) { return g.window.pads[1] > 0 || Reach(g, 1, g.output[1]) > g.input[1]; }

}  // namespace

InputBlocks::InputBlocks(const ConvGeometry& geometry, const Ops& ops, size_t num_limbs, size_t tile_pixels)
    : g_(geometry),
      ops_(ops),
      num_limbs_(num_limbs),
      pixel_bytes_(PaddedChannels(geometry.in_channels) * ops.element_bytes),
      in_place_(ops.element_bytes == 1 && !ReadsBesideRows(geometry)) {
  ChooseExtents(tile_pixels);
  const size_t scratch_limb = ScratchLimbBytes(columns_per_block_);
  limb_bytes_ = in_place_ ? PlaneBytes(g_.input[1], g_.in_channels) : scratch_limb;
  slot_bytes_ = in_place_ ? num_limbs_ * limb_bytes_ : NumPlanes() * scratch_limb;
}

// The largest block that fits, in blocks of about the same size; whole rows where possible.
void InputBlocks::ChooseExtents(size_t tile_pixels) {
  const int64_t tile = static_cast<int64_t>(tile_pixels);
  int64_t columns = g_.output[1];
  if (BlockBytes(1, columns) > kCacheBytes) {
    int64_t tiles = 1;
    while (tiles * 2 * tile < columns && BlockBytes(1, tiles * 2 * tile) <= kCacheBytes) {
      tiles *= 2;
    }
    columns = std::min(columns, tiles * tile);
  }
  int64_t rows = 1;
  while (rows * 2 <= g_.output[0] && BlockBytes(rows * 2, columns) <= kCacheBytes) {
    rows *= 2;
  }
  while (rows < g_.output[0] && BlockBytes(rows + 1, columns) <= kCacheBytes) {
    ++rows;
  }
  columns_per_block_ = columns;
  rows_per_block_ = CeilDiv(g_.output[0], CeilDiv(g_.output[0], rows));
}

// Each input row once where the windows of adjacent output rows overlap; else those of each output row.
size_t InputBlocks::NumSlots(int64_t rows) const {
  return static_cast<size_t>(std::min(Reach(g_, 0, rows), rows * g_.window.kernel[0]));
}

int64_t InputBlocks::InputColumns(int64_t columns) const { return Reach(g_, 1, columns); }

size_t InputBlocks::ScratchLimbBytes(int64_t columns) const {
  return AlignUp(static_cast<size_t>(InputColumns(columns)) * pixel_bytes_);
}

size_t InputBlocks::BlockBytes(int64_t rows, int64_t columns) const {
  return NumSlots(rows) * NumPlanes() * ScratchLimbBytes(columns);
}

size_t InputBlocks::scratch_bytes() const {
  const size_t table = static_cast<size_t>(rows_per_block_ * g_.window.kernel[0]) * sizeof(uint8_t*);
  const size_t slots = 1 + (in_place_ ? 0 : NumSlots(rows_per_block_));
  return 2 * kAlignment + table + slots * slot_bytes_;
}

void InputBlocks::Begin(const LinearInput& input, std::span<uint8_t> scratch) {
  input_ = input;
  const size_t misaligned = reinterpret_cast<uintptr_t>(scratch.data()) % kAlignment;
  uint8_t* aligned = scratch.data() + (misaligned == 0 ? 0 : kAlignment - misaligned);
  table_ = reinterpret_cast<const uint8_t**>(aligned);
  const size_t table = static_cast<size_t>(rows_per_block_ * g_.window.kernel[0]) * sizeof(uint8_t*);
  slots_ = aligned + AlignUp(table);
  // The first slot, as if it lay above the input.
  LoadArgs padding;
  padding.num_limbs = NumPlanes();
  padding.left =
      in_place_ ? limb_bytes_ : static_cast<size_t>(InputColumns(columns_per_block_)) * PaddedChannels(g_.in_channels);
  padding.padding = input.padding;
  padding.out = slots_;
  padding.out_limb_bytes = limb_bytes_;
  ops_.load(padding);
}

void InputBlocks::LoadRow(int64_t input_row, int64_t first_column, int64_t columns, uint8_t* out) const {
  const int64_t begin = std::clamp<int64_t>(-first_column, 0, columns);
  const int64_t end = std::clamp<int64_t>(g_.input[1] - first_column, begin, columns);
  const size_t channels = PaddedChannels(g_.in_channels);
  LoadArgs args;
  args.plane_bytes = PlaneBytes(g_.input[1], g_.in_channels);
  args.num_limbs = num_limbs_;
  args.left = static_cast<size_t>(begin) * channels;
  args.middle = static_cast<size_t>(end - begin) * channels;
  args.right = static_cast<size_t>(columns - end) * channels;
  args.padding = input_.padding;
  if (end > begin) {
    args.limbs = input_.limbs.data() + static_cast<size_t>(input_row) * LimbRowBytes(g_, num_limbs_) +
                 static_cast<size_t>(first_column + begin) * channels;
  }
  args.out = out;
  args.out_limb_bytes = limb_bytes_;
  ops_.load(args);
}

const uint8_t* InputBlocks::InPlace(int64_t input_row, int64_t first_column) const {
  return input_.limbs.data() + static_cast<size_t>(input_row) * LimbRowBytes(g_, num_limbs_) +
         static_cast<size_t>(first_column) * pixel_bytes_;
}

void InputBlocks::Load(const Block& block) {
  block_ = block;
  const Window& window = g_.window;
  const int64_t kernel_rows = window.kernel[0];
  const int64_t first_column = block.columns.begin * window.strides[1] - window.pads[1];
  const int64_t columns = InputColumns(block.columns.end - block.columns.begin);
  const int64_t num_rows = block.rows.end - block.rows.begin;
  const bool shared = Reach(g_, 0, num_rows) <= num_rows * kernel_rows;
  const int64_t first_row = block.rows.begin * window.strides[0] - window.pads[0];
  uint8_t* const first_slot = slots_ + slot_bytes_;
  if (!in_place_ && shared) {
    for (int64_t h = std::max<int64_t>(first_row, 0); h < std::min(first_row + Reach(g_, 0, num_rows), g_.input[0]);
         ++h) {
      LoadRow(h, first_column, columns, first_slot + static_cast<size_t>(h - first_row) * slot_bytes_);
    }
  }
  for (int64_t i = 0; i < num_rows * kernel_rows; ++i) {
    const int64_t h = first_row + i / kernel_rows * window.strides[0] + i % kernel_rows * window.dilations[0];
    if (h < 0 || h >= g_.input[0]) {
      table_[i] = slots_;
    } else if (in_place_) {
      table_[i] = InPlace(h, first_column);
    } else {
      uint8_t* slot = first_slot + static_cast<size_t>(shared ? h - first_row : i) * slot_bytes_;
      if (!shared) {
        LoadRow(h, first_column, columns, slot);
      }
      table_[i] = slot;
    }
  }
}

const uint8_t* const* InputBlocks::RowsOf(int64_t row) const {
  return table_ + (row - block_.rows.begin) * g_.window.kernel[0];
}

}  // namespace shoji::kernels::ring
