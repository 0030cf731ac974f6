// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/pages.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <gtest/gtest.h>

namespace shoji {
namespace {

TEST(PagesTest, WholePagesAreGivenBackAndTheirNeighboursStay) {
  constexpr size_t kSize = size_t{1} << 20;
  std::vector<uint8_t> data(kSize, 7);
  DropPages(std::span(data).subspan(1000, kSize - 2000));
  EXPECT_EQ(data[kSize / 2], 0);
  EXPECT_TRUE(std::all_of(data.begin(), data.begin() + 1000, [](uint8_t byte) { return byte == 7; }));
  EXPECT_TRUE(std::all_of(data.end() - 1000, data.end(), [](uint8_t byte) { return byte == 7; }));
}

TEST(PagesTest, WhatIsLessThanAPageStays) {
  std::vector<uint8_t> data(size_t{1} << 20, 7);
  DropPages(std::span(data).subspan(1, 4095));
  DropPages({});
  EXPECT_TRUE(std::all_of(data.begin(), data.end(), [](uint8_t byte) { return byte == 7; }));
}

}  // namespace
}  // namespace shoji
