// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/memory_plan.h"

#include <cstdint>
#include <random>

#include <gtest/gtest.h>

namespace shoji::execution {
namespace {

TEST(MemoryPlanTest, NothingNeedsNothing) { EXPECT_EQ(PlanMemory({}, 0)->size_bytes, 0U); }

TEST(MemoryPlanTest, ReusesMemoryOfWhatIsOver) {
  const auto plan = PlanMemory({{1000, 0, 1}, {1000, 1, 2}, {1000, 2, 3}, {1000, 3, 4}}, 1 << 20);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->size_bytes, 2048U);
}

TEST(MemoryPlanTest, TakesTheSmallestGapThatHolds) {
  // At step 1 the first and third are free: gaps of 512 and 256.
  const auto plan = PlanMemory({{512, 0, 0}, {448, 0, 9}, {256, 0, 0}, {192, 0, 9}, {128, 1, 1}}, 1 << 20);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->offsets[4], plan->offsets[2]);
}

TEST(MemoryPlanTest, NothingThatLivesAtTheSameTimeOverlaps) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < 60; ++i) {
      const size_t first = random() % 40;
      lifetimes.push_back({random() % 5000, first, first + random() % 10});
    }
    const auto plan = PlanMemory(lifetimes, SIZE_MAX);
    ASSERT_TRUE(plan.ok());
    for (size_t i = 0; i < lifetimes.size(); ++i) {
      EXPECT_EQ(plan->offsets[i] % 64, 0U);
      EXPECT_LE(plan->offsets[i] + lifetimes[i].size_bytes, plan->size_bytes);
      for (size_t j = 0; j < i; ++j) {
        const bool together = lifetimes[i].first <= lifetimes[j].last && lifetimes[j].first <= lifetimes[i].last;
        const bool apart = plan->offsets[i] + lifetimes[i].size_bytes <= plan->offsets[j] ||
                           plan->offsets[j] + lifetimes[j].size_bytes <= plan->offsets[i];
        EXPECT_TRUE(!together || apart);
      }
    }
  }
}

TEST(MemoryPlanTest, RefusesToExceedTheLimit) {
  EXPECT_TRUE(PlanMemory({{1024, 0, 1}}, 1024).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(PlanMemory({{1024, 0, 1}, {1, 0, 1}}, 1024).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(PlanMemory({{SIZE_MAX, 0, 1}}, SIZE_MAX).status()));
}

}  // namespace
}  // namespace shoji::execution
