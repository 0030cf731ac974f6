// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/memory_plan.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>

#include "lib/base/status_macros.h"

namespace shoji::execution {
namespace {

constexpr size_t kAlignment = 64;

absl::Status TooLarge(size_t max_bytes) {
  return absl::ResourceExhaustedError("the graph's intermediate values need more than the allowed " +
                                      std::to_string(max_bytes) + " bytes");
}

size_t Aligned(size_t size) { return std::max((size + kAlignment - 1) / kAlignment * kAlignment, kAlignment); }

struct Block {
  size_t begin = 0;
  size_t end = 0;
  const Lifetime* lifetime = nullptr;
};

// The start of the smallest gap of at least `size` between those of `placed` (sorted by begin) that live at the same
// time as `lifetime`; the end of all where none fits.
size_t BestFit(const std::vector<Block>& placed, const Lifetime& lifetime, size_t size) {
  size_t best = SIZE_MAX;
  size_t best_gap = SIZE_MAX;
  size_t cursor = 0;
  for (const Block& block : placed) {
    if (block.lifetime->first > lifetime.last || lifetime.first > block.lifetime->last) {
      continue;
    }
    const size_t gap = block.begin > cursor ? block.begin - cursor : 0;
    if (gap >= size && gap < best_gap) {
      best = cursor;
      best_gap = gap;
    }
    cursor = std::max(cursor, block.end);
  }
  return best == SIZE_MAX ? cursor : best;
}

}  // namespace

absl::StatusOr<MemoryPlan> PlanMemory(const std::vector<Lifetime>& lifetimes, size_t max_bytes) {
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].size_bytes > lifetimes[b].size_bytes; });
  MemoryPlan plan;
  plan.offsets.resize(lifetimes.size());
  std::vector<Block> placed;
  for (const size_t i : order) {
    const Lifetime& lifetime = lifetimes[i];
    if (lifetime.size_bytes > std::min(max_bytes, SIZE_MAX / 4)) {
      return TooLarge(max_bytes);
    }
    const size_t size = Aligned(lifetime.size_bytes);
    const size_t begin = BestFit(placed, lifetime, size);
    plan.offsets[i] = begin;
    plan.size_bytes = std::max(plan.size_bytes, begin + size);
    if (plan.size_bytes > max_bytes) {
      return TooLarge(max_bytes);
    }
    const auto after = std::upper_bound(placed.begin(), placed.end(), begin,
                                        [](size_t value, const Block& block) { return value < block.begin; });
    placed.insert(after, {begin, begin + size, &lifetime});
  }
  return plan;
}

}  // namespace shoji::execution
