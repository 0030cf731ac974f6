// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The tiled product, its blocks run on this host.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/gpu_worker/cuda/host_block.h"
// The device's compiler does not warn of these.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "gpu_worker/cuda/open_multiply.cuh"
#pragma GCC diagnostic pop

namespace shoji::accelerator::open_segment {
namespace {

std::vector<float> Numbers(size_t count, uint32_t seed) {
  std::vector<float> out(count);
  for (float& value : out) {
    seed = seed * 1664525U + 1013904223U;
    value = static_cast<float>(seed >> 8U) / static_cast<float>(1U << 24U) - 0.5F;
  }
  return out;
}

struct Operands {
  std::vector<float> a;
  std::vector<float> b;
  std::vector<float> bias;
  std::vector<float> residual;
  std::vector<Tap> taps;
  std::vector<float> y;
};

// By the definition.
float Expected(const MultiplyArgs& args, uint32_t position, uint32_t row, uint32_t column, uint32_t split) {
  const float* a = args.a + OffsetAt(args.batch, 0, position);
  const float* b = args.b + OffsetAt(args.batch, 1, position);
  double sum = 0;
  for (uint32_t k = split * args.k_per_split; k < min(args.k, (split + 1) * args.k_per_split); ++k) {
    const float right = args.taps == nullptr ? b[k * args.n + column]
                                             : CellAt(args.window, b, CornerOf(args.window, column), args.taps[k]);
    sum += static_cast<double>(a[k * args.m + row]) * right;
  }
  if (args.splits > 1) {
    return static_cast<float>(sum);
  }
  const uint32_t i = (position * args.m + row) * args.n + column;
  return Finished(args.epilogue, ChannelOf(i, args.inner, args.channels), i, args.factor * static_cast<float>(sum));
}

template <int kRows, int kColumns, int kThreadColumns>
void RunAndCheck(const MultiplyArgs& args, std::vector<float>& y, const std::string& what) {
  SCOPED_TRACE(what + " in tiles of " + std::to_string(kRows) + "x" + std::to_string(kColumns));
  std::fill(y.begin(), y.end(), std::numeric_limits<float>::quiet_NaN());
  const uint32_t tiles = ((args.m + kRows - 1) / kRows) * ((args.n + kColumns - 1) / kColumns);
  RunBlocks({tiles, args.splits, args.count}, TileShape<kRows, kColumns, kThreadColumns>::kThreads, [&args] {
    if (args.taps != nullptr) {
      MultiplyTile<kRows, kColumns, kThreadColumns, true>(args);
    } else {
      MultiplyTile<kRows, kColumns, kThreadColumns, false>(args);
    }
  });
  size_t at = 0;
  for (uint32_t split = 0; split < args.splits; ++split) {
    for (uint32_t position = 0; position < args.count; ++position) {
      for (uint32_t row = 0; row < args.m; ++row) {
        for (uint32_t column = 0; column < args.n; ++column) {
          ASSERT_NEAR(y[at++], Expected(args, position, row, column, split), 1e-4F) << row << ", " << column;
        }
      }
    }
  }
}

void CheckAllTiles(const MultiplyArgs& args, std::vector<float>& y, const std::string& what) {
  RunAndCheck<128, 128, 8>(args, y, what);
  RunAndCheck<128, 64, 8>(args, y, what);
  RunAndCheck<64, 64, 4>(args, y, what);
  RunAndCheck<64, 32, 4>(args, y, what);
}

MultiplyArgs PlainArgs(Operands& operands, uint32_t m, uint32_t n, uint32_t k, uint32_t count) {
  operands.a = Numbers(size_t{m} * k * count, 1);
  operands.b = Numbers(size_t{k} * n * count, 2);
  operands.residual = Numbers(size_t{m} * n * count, 3);
  operands.bias = Numbers(std::max(m * count, n), 4);
  operands.y.resize(size_t{m} * n * count * 8);
  MultiplyArgs args;
  args.a = operands.a.data();
  args.b = operands.b.data();
  args.y = operands.y.data();
  args.m = m;
  args.n = n;
  args.k = k;
  args.count = count;
  args.k_per_split = (k + 15) / 16 * 16;
  args.batch.rank = 1;
  args.batch.extents[0] = count;
  args.batch.strides[0][0] = static_cast<int32_t>(m * k);
  args.batch.strides[1][0] = static_cast<int32_t>(k * n);
  return args;
}

TEST(MultiplyTileTest, EveryTileGivesTheProductWithItsEpilogue) {
  using Kind = kernels::Activation::Kind;
  for (const auto& [m, n, k] :
       std::vector<std::array<uint32_t, 3>>{{130, 132, 33}, {70, 49, 40}, {5, 7, 3}, {1, 1, 1}}) {
    Operands operands;
    MultiplyArgs args = PlainArgs(operands, m, n, k, 2);
    const std::string what = std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
    CheckAllTiles(args, operands.y, what);

    args.factor = 0.5F;
    args.inner = n;
    args.channels = 2 * m;
    args.epilogue.bias = operands.bias.data();
    args.epilogue.residual = operands.residual.data();
    args.epilogue.num_activations = 1;
    args.epilogue.activations[0] = {Kind::kRelu};
    CheckAllTiles(args, operands.y, what + ", bias of rows, residual, Relu");

    args.inner = 1;
    args.channels = n;
    args.epilogue.residual = nullptr;
    args.epilogue.num_activations = 2;
    args.epilogue.activations[0] = {Kind::kSwish};
    args.epilogue.activations[1] = {Kind::kClip, -0.1F, 0.2F};
    CheckAllTiles(args, operands.y, what + ", bias of columns, two activations");
  }
}

TEST(MultiplyTileTest, EveryTileGivesPartsOfSums) {
  Operands operands;
  MultiplyArgs args = PlainArgs(operands, 66, 40, 100, 1);
  args.splits = 4;
  args.k_per_split = 32;
  CheckAllTiles(args, operands.y, "parts");
}

TEST(MultiplyTileTest, EveryTileGathersWhatWindowsRead) {
  constexpr int32_t kHeight = 9;
  constexpr int32_t kWidth = 11;
  Operands operands;
  MultiplyArgs args = PlainArgs(operands, 20, 5 * 12, 3 * 6, 1);
  operands.b = Numbers(size_t{3} * kHeight * kWidth, 5);
  args.b = operands.b.data();
  for (int32_t channel = 0; channel < 3; ++channel) {
    for (int16_t row = 0; row < 3; ++row) {
      for (int16_t column = 0; column < 4; column = static_cast<int16_t>(column + 2)) {
        operands.taps.push_back({(channel * kHeight + row) * kWidth + column, row, column});
      }
    }
  }
  args.taps = operands.taps.data();
  args.window = {{3, 2}, {2, 1}, {1, 2}, {1, 2, 1, 1}, {kHeight, kWidth}, {5, 12}};
  CheckAllTiles(args, operands.y, "windows");
}

}  // namespace
}  // namespace shoji::accelerator::open_segment
