// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/layout.h"

#include <gtest/gtest.h>

#include "tests/unit/lib/kernels/onednn_harness.h"

namespace shoji::kernels::onednn {
namespace {

Layout Plain(const std::vector<int64_t>& dims) { return *Layout::Plain(dims); }
Layout Blocked(const std::vector<int64_t>& dims, size_t block) { return *Layout::Blocked(dims, block); }

TEST(LayoutTest, BlocksArePadded) {
  const Layout layout = Blocked({1, 17, 5, 3}, 16);
  EXPECT_EQ(layout.dims(), (std::vector<int64_t>{1, 17, 5, 3}));
  EXPECT_EQ(layout.size_bytes(), 32U * 5 * 3 * sizeof(float));
  EXPECT_EQ(layout, OneDnnHarness::Blocked({1, 17, 5, 3}, dnnl_nChw16c));
  EXPECT_EQ(Blocked({1, 17, 5, 3}, 8), OneDnnHarness::Blocked({1, 17, 5, 3}, dnnl_nChw8c));
}

TEST(LayoutTest, OnlyImagesHaveBlocks) { EXPECT_FALSE(Layout::Blocked(std::vector<int64_t>{1, 16}, 16).ok()); }

TEST(LayoutTest, ChannelsStackWhereTensorsLieBehindEachOther) {
  EXPECT_EQ(Plain({1, 3, 5, 7}).Stacked(8), Plain({1, 8, 5, 7}));
  EXPECT_EQ(Plain({1, 3}).Stacked(8), Plain({1, 8}));
  EXPECT_EQ(Blocked({1, 32, 5, 7}, 16).Stacked(64), Blocked({1, 64, 5, 7}, 16));
}

TEST(LayoutTest, ChannelsDoNotStackWhereTheyMix) {
  EXPECT_FALSE(Plain({2, 3, 5, 7}).Stacked(8).has_value()) << "a batch";
  EXPECT_FALSE(Blocked({1, 24, 5, 7}, 16).Stacked(48).has_value()) << "a padded block";
  EXPECT_FALSE(Blocked({1, 32, 5, 7}, 16).Stacked(40).has_value()) << "a whole with a padded block";
  EXPECT_FALSE(OneDnnHarness::Blocked({1, 32, 5, 7}, dnnl_nhwc).Stacked(64).has_value()) << "channels innermost";
}

}  // namespace
}  // namespace shoji::kernels::onednn
