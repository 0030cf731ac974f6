// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_tiling.h"

#include <algorithm>
#include <cmath>

namespace shoji::accelerator::open_segment {
namespace {

using Tile = MultiplyArgs::Tile;

constexpr int64_t kDepth = 16;  // rows of k that a block takes at a time
constexpr int64_t kLeastDepth = 64;
constexpr int64_t kMostSplits = 32;
constexpr int64_t kMostPartElements = int64_t{1} << 26;

struct Candidate {
  Tile tile = Tile::k64x64;
  int64_t rows = 64;
  int64_t columns = 64;
  double warps = 4;
  double efficiency = 0.7;  // of a multiprocessor's products, with enough warps on it
};
constexpr Candidate kCandidates[] = {
    {Tile::k128x128, 128, 128, 8, 0.80},
    {Tile::k128x64, 128, 64, 4, 0.72},
    {Tile::k64x64, 64, 64, 4, 0.62},
    {Tile::k64x32, 64, 32, 2, 0.50},
};

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Cycles of a device, roughly.
double TimeOf(const Candidate& candidate, int64_t blocks, int64_t k_per_split, int num_multiprocessors) {
  constexpr double kProductsPerCycle = 128;  // of a multiprocessor
  constexpr double kWarpsWanted = 12;
  constexpr double kBegin = 1500;  // until a block's first product, and from its last
  const double per_multiprocessor = std::ceil(static_cast<double>(blocks) / num_multiprocessors);
  const double occupied = std::min(1.0, per_multiprocessor * candidate.warps / kWarpsWanted);
  const double products = static_cast<double>(candidate.rows * candidate.columns * k_per_split);
  const double block = products / (kProductsPerCycle * candidate.efficiency * std::sqrt(occupied));
  const double rounds = std::ceil(per_multiprocessor * candidate.warps / (2 * kWarpsWanted));
  return per_multiprocessor * block + rounds * kBegin;
}

double TimeOfSum(int64_t splits, double elements, int num_multiprocessors) {
  constexpr double kLaunch = 3000;
  constexpr double kElementsPerCycle = 4;  // of a multiprocessor, written and read again
  return splits == 1 ? 0
                     : kLaunch + static_cast<double>(splits + 1) * elements / (kElementsPerCycle * num_multiprocessors);
}

}  // namespace

Tiling ChooseTiling(int64_t m, int64_t n, int64_t k, int64_t count, int num_multiprocessors) {
  Tiling best;
  double least = INFINITY;
  const double elements = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(count);
  for (const Candidate& candidate : kCandidates) {
    const int64_t tiles = DivideUp(m, candidate.rows) * DivideUp(n, candidate.columns) * count;
    for (int64_t wanted = 1; wanted <= kMostSplits; ++wanted) {
      const int64_t depth = DivideUp(DivideUp(k, wanted), kDepth) * kDepth;
      const int64_t splits = DivideUp(k, depth);
      if (splits != wanted) {
        continue;
      }
      if (splits > 1 &&
          (depth < kLeastDepth || elements * static_cast<double>(splits) > static_cast<double>(kMostPartElements))) {
        break;
      }
      const double time = TimeOf(candidate, tiles * splits, depth, num_multiprocessors) +
                          TimeOfSum(splits, elements, num_multiprocessors);
      if (time < least) {
        least = time;
        best = {candidate.tile, static_cast<uint32_t>(splits), static_cast<uint32_t>(depth)};
      }
    }
  }
  return best;
}

}  // namespace shoji::accelerator::open_segment
