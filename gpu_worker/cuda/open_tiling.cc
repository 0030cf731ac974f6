// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_tiling.h"

#include <algorithm>
#include <cmath>

namespace shoji::accelerator::open_segment {
namespace {

using Tile = MultiplyArgs::Tile;

constexpr int64_t kDepth = 16;  // rows of k that a block takes at a time
constexpr int64_t kLeastDepth = 32;
constexpr int64_t kMostSplits = 32;
constexpr double kMostPartElements = 1 << 26;

// Fitted to the times of 33 layers of VGG-16, ResNet-50 and EfficientNet-B0 on an H200, 1,100 cuts in all, which it
// gives within 11 % (root mean square, of those that take up to 2.5 times the best). All in cycles. They were measured
// before tiles were finished in registers, which `finish` overstates since.
struct Candidate {
  Tile tile = Tile::k64x64;
  int64_t rows = 64;
  int64_t columns = 64;
  int64_t resident = 4;  // blocks on a multiprocessor
  double per_row = 110;  // of k, for a block that has a multiprocessor to itself
  double products = 43;  // per cycle of a multiprocessor with all its blocks
  double finish = 8400;  // the epilogue of a block
};
constexpr Candidate kCandidates[] = {
    {Tile::k128x128, 128, 128, 2, 170, 66, 23000},
    {Tile::k128x64, 128, 64, 4, 207, 56, 12000},
    {Tile::k64x64, 64, 64, 4, 111, 43, 8400},
    {Tile::k64x32, 64, 32, 8, 120, 40, 4700},
};
constexpr double kBegin = 5300;  // of a block, and its end
constexpr double kSumLaunch = 2500;
constexpr double kSumPart = 240;
constexpr double kSumElements = 2.2;   // per cycle of a multiprocessor
constexpr double kGatherPerRow = 2.1;  // times a plain matrix's
constexpr double kGatherProducts = 0.92;

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of `blocks` that a multiprocessor runs at a time.
double TimeOfWave(const Candidate& candidate, int64_t blocks, int64_t depth, bool gathers) {
  const auto area = static_cast<double>(blocks * candidate.rows * candidate.columns);
  const double row = std::max(candidate.per_row * (gathers ? kGatherPerRow : 1),
                              area / (candidate.products * (gathers ? kGatherProducts : 1)));
  return row * static_cast<double>(depth) + kBegin;
}

double TimeOf(const Candidate& candidate, int64_t blocks, int64_t depth, bool gathers, int num_multiprocessors) {
  const int64_t each = DivideUp(blocks, num_multiprocessors);
  const int64_t rest = each % candidate.resident;
  const int64_t full = each / candidate.resident;
  return static_cast<double>(full) * TimeOfWave(candidate, candidate.resident, depth, gathers) +
         (rest > 0 ? TimeOfWave(candidate, rest, depth, gathers) : 0);
}

double TimeOfEnd(const Candidate& candidate, int64_t blocks, int64_t splits, double elements, int num_multiprocessors) {
  if (splits > 1) {
    return kSumLaunch + kSumPart * static_cast<double>(splits) +
           static_cast<double>(splits + 1) * elements / (kSumElements * num_multiprocessors);
  }
  const int64_t each = DivideUp(blocks, num_multiprocessors);
  return candidate.finish *
         static_cast<double>(std::min(each, candidate.resident) * DivideUp(each, candidate.resident));
}

}  // namespace

Tiling ChooseTiling(const Product& product, int num_multiprocessors) {
  Tiling best;
  double least = INFINITY;
  const double elements =
      static_cast<double>(product.m) * static_cast<double>(product.n) * static_cast<double>(product.count);
  for (const Candidate& candidate : kCandidates) {
    const int64_t tiles = DivideUp(product.m, candidate.rows) * DivideUp(product.n, candidate.columns) * product.count;
    for (int64_t wanted = 1; wanted <= kMostSplits; ++wanted) {
      const int64_t depth = DivideUp(DivideUp(product.k, wanted), kDepth) * kDepth;
      const int64_t splits = DivideUp(product.k, depth);
      if (splits != wanted) {
        continue;
      }
      if (splits > 1 && (depth < kLeastDepth || elements * static_cast<double>(splits) > kMostPartElements)) {
        break;
      }
      const double time = TimeOf(candidate, tiles * splits, depth, product.gathers, num_multiprocessors) +
                          TimeOfEnd(candidate, tiles, splits, elements, num_multiprocessors);
      if (time < least) {
        least = time;
        best = {candidate.tile, static_cast<uint32_t>(splits), static_cast<uint32_t>(depth)};
      }
    }
  }
  return best;
}

}  // namespace shoji::accelerator::open_segment
