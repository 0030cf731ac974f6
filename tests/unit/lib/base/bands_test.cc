// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/bands.h"

#include <atomic>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace shoji {
namespace {

TEST(BandsTest, EveryItemIsInExactlyOneBand) {
  for (const int64_t count : {1, 2, 7, 100}) {
    for (size_t num_bands = 1; num_bands <= static_cast<size_t>(count) && num_bands < 9; ++num_bands) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
      std::vector<std::atomic<int>> bands(num_bands);
      ForEachBand(count, num_bands, [&](size_t band, int64_t begin, int64_t end) {
        ++bands[band];
        for (int64_t i = begin; i < end; ++i) {
          ++visits[static_cast<size_t>(i)];
        }
      });
      for (const auto* counts : {&visits, &bands}) {
        for (const std::atomic<int>& times : *counts) {
          ASSERT_EQ(times, 1) << count << " items in " << num_bands << " bands";
        }
      }
    }
  }
}

TEST(BandsTest, ThereAreNoMoreBandsThanThreadsItemsOrWorkForThem) {
  EXPECT_EQ(NumBands(100, 10, 4, 100), 4U);
  EXPECT_EQ(NumBands(3, 1000, 4, 100), 3U);
  EXPECT_EQ(NumBands(100, 1, 4, 100), 2U);
  EXPECT_EQ(NumBands(100, 1, 4, 1000), 1U);
  EXPECT_EQ(NumBands(100, 10, 0, 100), 1U);
  EXPECT_EQ(NumBands(0, 10, 4, 100), 1U);
}

}  // namespace
}  // namespace shoji
