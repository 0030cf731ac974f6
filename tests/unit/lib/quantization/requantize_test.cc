// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/requantize.h"

#include <limits>

#include <gtest/gtest.h>

namespace shoji::quantization {
namespace {

TEST(RequantizeTest, HalvesGoToTheEvenNeighbour) {
  EXPECT_EQ(Requantize(1, 0.5F, 10, 0, 255), 10);
  EXPECT_EQ(Requantize(3, 0.5F, 10, 0, 255), 12);
  EXPECT_EQ(Requantize(5, 0.5F, 10, 0, 255), 12);
  EXPECT_EQ(Requantize(-1, 0.5F, 10, 0, 255), 10);
  EXPECT_EQ(Requantize(-3, 0.5F, 10, 0, 255), 8);
}

TEST(RequantizeTest, RoundingComesBeforeTheZeroPoint) {
  // 0.5 + 1 would round to 2.
  EXPECT_EQ(Requantize(1, 0.5F, 1, 0, 255), 1);
}

TEST(RequantizeTest, ResultStaysWithinItsBounds) {
  EXPECT_EQ(Requantize(1'000'000, 1, 3, 5, 77), 77);
  EXPECT_EQ(Requantize(-1'000'000, 1, 3, 5, 77), 5);
  EXPECT_EQ(Requantize(int64_t{1} << 42, std::numeric_limits<float>::max(), 0, 0, 255), 255);
  EXPECT_EQ(Requantize(-(int64_t{1} << 42), std::numeric_limits<float>::max(), 0, 0, 255), 0);
}

TEST(RequantizeTest, AccumulatorIsRoundedToFloatFirst) {
  // 2^24 + 1 lies between two floats and goes to the even one, 2^24: exactly 128 of 2^-17.
  EXPECT_EQ(Requantize((int64_t{1} << 24) + 1, 0x1p-17F, 0, 0, 255), 128);
  EXPECT_EQ(Requantize((int64_t{1} << 24) + 3, 0x1p-17F, 0, 0, 255), 128);
}

}  // namespace
}  // namespace shoji::quantization
