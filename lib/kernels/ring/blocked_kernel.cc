// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/ring/blocked_kernel.h"

#include <algorithm>
#include <vector>

#include "lib/base/check.h"

namespace shoji::kernels::ring {
namespace {

constexpr size_t kChannelMultiple = 16;  // the widest vector of words

// What Run requires, all of its arguments.
// NOLINTNEXTLINE(readability-function-size)
void CheckSizes(const LinearKernel& kernel, Ring ring, const LinearInput& input, RowRange rows,
                std::span<const uint8_t> words, std::span<const uint8_t> scratch) {
  const ConvGeometry& g = kernel.geometry();
  SHOJI_CHECK(ring == Ring::k24 || ring == Ring::k32);
  SHOJI_CHECK(input.num_limbs == 1 || input.num_limbs == 3 || input.num_limbs == 4);
  SHOJI_CHECK(input.num_limbs == 1 || input.padding == 0);
  SHOJI_CHECK(input.limbs.size() == LimbBytes(g, input.num_limbs));
  SHOJI_CHECK(rows.begin >= 0 && rows.begin <= rows.end && rows.end <= g.output[0]);
  SHOJI_CHECK(words.size() == static_cast<size_t>(rows.end - rows.begin) * WordRowBytes(g, ring));
  SHOJI_CHECK(scratch.size() >= kernel.scratch_bytes(input.num_limbs));
}

// Calls run(block) for each block of `rows`, its input loaded.
template <typename RunBlock>
void ForEachBlock(const ConvGeometry& g, InputBlocks& blocks, RowRange rows, const RunBlock& run) {
  for (int64_t row = rows.begin; row < rows.end; row += blocks.rows_per_block()) {
    for (int64_t column = 0; column < g.output[1]; column += blocks.columns_per_block()) {
      const Block block = {{row, std::min(row + blocks.rows_per_block(), rows.end)},
                           {column, std::min(column + blocks.columns_per_block(), g.output[1])}};
      blocks.Load(block);
      run(block);
    }
  }
}

// Tiles of nearly one size that cover `columns`: their width, at most `most`.
size_t TileWidth(int64_t columns, size_t most) {
  const auto all = static_cast<size_t>(columns);
  const size_t tiles = (all + most - 1) / most;
  return (all + tiles - 1) / tiles;
}

bool IsNarrow(const ConvGeometry& g, const Ops& ops) { return g.output[1] <= static_cast<int64_t>(ops.narrow_pixels); }

// What lies behind the channels of each position.
void ZeroPadding(const ConvGeometry& g, Ring ring, std::span<uint8_t> words) {
  const size_t pixel_words = PaddedChannels(g.out_channels) * WordBytes(ring);
  const size_t used = static_cast<size_t>(g.out_channels) * WordBytes(ring);
  for (size_t at = 0; at < words.size(); at += pixel_words) {
    std::fill_n(words.data() + at + used, pixel_words - used, uint8_t{0});
  }
}

}  // namespace

bool BlockedKernel::Takes(const ConvGeometry& geometry, const Ops& ops) {
  return geometry.group == 1 || geometry.in_channels / geometry.group % static_cast<int64_t>(ops.step_channels) == 0;
}

BlockedKernel::BlockedKernel(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops,
                             int num_threads)
    : geometry_(geometry),
      ops_(ops),
      tile_pixels_(TileWidth(geometry.output[1], IsNarrow(geometry, ops) ? ops.narrow_pixels : ops.max_pixels)),
      weights_(geometry, weights, ops, {IsNarrow(geometry, ops) ? ops.narrow_vectors : ops.max_vectors, num_threads}) {}

size_t BlockedKernel::scratch_bytes(size_t num_limbs) const {
  return InputBlocks(geometry_, ops_, num_limbs, tile_pixels_).scratch_bytes();
}

void BlockedKernel::Run(Ring ring, const LinearInput& input, RowRange rows, std::span<uint8_t> words,
                        std::span<uint8_t> scratch) const {
  CheckSizes(*this, ring, input, rows, words, scratch);
  InputBlocks blocks(geometry_, ops_, input.num_limbs, tile_pixels_);
  blocks.Begin(input, scratch);
  ForEachBlock(geometry_, blocks, rows, [&](const Block& block) {
    RunBlock(ring, blocks, block, weights_.panels(),
             words.data() + static_cast<size_t>(block.rows.begin - rows.begin) * WordRowBytes(geometry_, ring));
  });
  if (geometry_.group > 1 && geometry_.out_channels % 4 != 0) {
    ZeroPadding(geometry_, ring, words);  // else the panels hold it
  }
}

// Panel by panel where the input of the whole layer is one block: a panel stays in the cache for all inputs.
void BlockedKernel::RunBatch(Ring ring, std::span<const BatchRun> runs) const {
  const Block all = {{0, geometry_.output[0]}, {0, geometry_.output[1]}};
  std::vector<InputBlocks> blocks;
  blocks.reserve(runs.size());
  for (const BatchRun& run : runs) {
    CheckSizes(*this, ring, run.input, {0, geometry_.output[0]}, run.words, run.scratch);
    const InputBlocks& added = blocks.emplace_back(geometry_, ops_, run.input.num_limbs, tile_pixels_);
    if (added.rows_per_block() < all.rows.end || added.columns_per_block() < all.columns.end) {
      LinearKernel::RunBatch(ring, runs);
      return;
    }
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    blocks[i].Begin(runs[i].input, runs[i].scratch);
    blocks[i].Load(all);
  }
  for (const Panel& panel : weights_.panels()) {
    for (size_t i = 0; i < runs.size(); ++i) {
      RunBlock(ring, blocks[i], all, {&panel, 1}, runs[i].words.data());
    }
  }
  if (geometry_.group > 1 && geometry_.out_channels % 4 != 0) {
    for (const BatchRun& run : runs) {
      ZeroPadding(geometry_, ring, run.words);
    }
  }
}

// `words` is where the block's first row begins.
void BlockedKernel::RunBlock(Ring ring, const InputBlocks& blocks, const Block& block, std::span<const Panel> panels,
                             uint8_t* words) const {
  const Window& window = geometry_.window;
  const size_t pixel_words = PaddedChannels(geometry_.out_channels) * WordBytes(ring);
  // A kernel row over adjacent positions, all their channels, is one run of memory: one long tap.
  const bool merge_taps = geometry_.group == 1 && window.dilations[1] == 1;
  const auto kernel_columns = static_cast<size_t>(window.kernel[1]);
  TileArgs args;
  args.limb_bytes = blocks.limb_bytes();
  args.num_limbs = blocks.num_limbs();
  args.kernel_rows = static_cast<size_t>(window.kernel[0]);
  args.taps = merge_taps ? 1 : kernel_columns;
  args.steps = weights_.steps() * (merge_taps ? kernel_columns : 1);
  args.tap_bytes = static_cast<size_t>(window.dilations[1]) * blocks.pixel_bytes();
  args.pixel_bytes = static_cast<size_t>(window.strides[1]) * blocks.pixel_bytes();
  args.word_bytes = WordBytes(ring);
  args.pixel_words_bytes = pixel_words;
  for (const Panel& panel : panels) {
    args.weights = weights_.WeightsOf(panel);
    args.vectors = panel.vectors;
    args.channels = panel.channels;
    for (int64_t row = block.rows.begin; row < block.rows.end; ++row) {
      args.rows = blocks.RowsOf(row);
      uint8_t* const row_words = words + static_cast<size_t>(row - block.rows.begin) * WordRowBytes(geometry_, ring);
      for (int64_t column = block.columns.begin; column < block.columns.end;
           column += static_cast<int64_t>(tile_pixels_)) {
        args.pixels = std::min(tile_pixels_, static_cast<size_t>(block.columns.end - column));
        args.offset = static_cast<size_t>(column - block.columns.begin) * args.pixel_bytes +
                      panel.first_input * ops_.element_bytes;
        args.words = row_words + static_cast<size_t>(column) * pixel_words + panel.first_channel * args.word_bytes;
        ops_.tile(args);
      }
    }
  }
}

bool DepthwiseKernel::Takes(const ConvGeometry& geometry) {
  return geometry.group == geometry.in_channels && geometry.group == geometry.out_channels;
}

DepthwiseKernel::DepthwiseKernel(const ConvGeometry& geometry, std::span<const int8_t> weights, const Ops& ops)
    : geometry_(geometry), ops_(ops) {
  const auto channels = static_cast<size_t>(geometry.out_channels);
  const auto taps = static_cast<size_t>(geometry.window.kernel[0] * geometry.window.kernel[1]);
  weight_channels_ = (channels + kChannelMultiple - 1) / kChannelMultiple * kChannelMultiple;
  weights_.resize(taps * weight_channels_);
  for (size_t channel = 0; channel < channels; ++channel) {
    for (size_t tap = 0; tap < taps; ++tap) {
      weights_[tap * weight_channels_ + channel] = static_cast<uint32_t>(int32_t{weights[channel * taps + tap]});
    }
  }
}

size_t DepthwiseKernel::scratch_bytes(size_t num_limbs) const {
  // The last vector of channels may reach over the end of the last row.
  return InputBlocks(geometry_, ops_, num_limbs, 1).scratch_bytes() + kChannelMultiple * sizeof(uint32_t);
}

void DepthwiseKernel::Run(Ring ring, const LinearInput& input, RowRange rows, std::span<uint8_t> words,
                          std::span<uint8_t> scratch) const {
  CheckSizes(*this, ring, input, rows, words, scratch);
  InputBlocks blocks(geometry_, ops_, input.num_limbs, 1);
  blocks.Begin(input, scratch);
  DepthwiseArgs args;
  args.kernel_rows = static_cast<size_t>(geometry_.window.kernel[0]);
  args.taps = static_cast<size_t>(geometry_.window.kernel[1]);
  args.tap_bytes = static_cast<size_t>(geometry_.window.dilations[1]) * blocks.pixel_bytes();
  args.pixel_bytes = static_cast<size_t>(geometry_.window.strides[1]) * blocks.pixel_bytes();
  args.weights = weights_.data();
  args.weight_channels = weight_channels_;
  args.word_bytes = WordBytes(ring);
  args.channels = PaddedChannels(geometry_.out_channels);
  const size_t pixel_words = args.channels * args.word_bytes;
  ForEachBlock(geometry_, blocks, rows, [&](const Block& block) {
    args.pixels = static_cast<size_t>(block.columns.end - block.columns.begin);
    for (int64_t row = block.rows.begin; row < block.rows.end; ++row) {
      args.rows = blocks.RowsOf(row);
      args.words = words.data() + static_cast<size_t>(row - rows.begin) * WordRowBytes(geometry_, ring) +
                   static_cast<size_t>(block.columns.begin) * pixel_words;
      ops_.depthwise(args);
    }
  });
}

}  // namespace shoji::kernels::ring
