// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/geometry.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace shoji::kernels {
namespace {

constexpr int64_t kHuge = int64_t{1} << 40;

TEST(GeometryTest, ConvolutionRefusesAWindowLargerThanThePaddedInput) {
  Window window;
  window.kernel = {7, 7};
  const auto geometry = MakeConvGeometry(Shape({1, 3, 5, 5}), Shape({8, 3, 7, 7}), Shape({1, 8, 1, 1}), 1, window);
  EXPECT_TRUE(absl::IsInvalidArgument(geometry.status()));
  EXPECT_NE(std::string(geometry.status().message()).find("covers 7 over a padded input of 5"), std::string::npos);
}

TEST(GeometryTest, ConvolutionRefusesTermsThatWouldOverflow) {
  for (const int64_t bad : {int64_t{0}, int64_t{-1}, INT64_MAX, INT64_MIN, int64_t{1} << 31}) {
    for (int field = 0; field < 4; ++field) {
      Window window;
      (field == 0   ? window.kernel[0]
       : field == 1 ? window.strides[1]
       : field == 2 ? window.dilations[0]
                    : window.pads[3]) = field == 3 && bad == 0 ? -1 : bad;
      EXPECT_TRUE(absl::IsInvalidArgument(
          MakeConvGeometry(Shape({1, 1, 5, 5}), Shape({1, 1, 1, 1}), Shape({1, 1, 5, 5}), 1, window).status()));
      EXPECT_TRUE(absl::IsInvalidArgument(
          MakePoolGeometry(PoolKind::kMax, Shape({1, 1, 5, 5}), Shape({1, 1, 5, 5}), window, Rounding::kCeil)
              .status()));
    }
  }
}

TEST(GeometryTest, ConvolutionRefusesChannelsAndOutputsThatDoNotFit) {
  const Window window;
  const auto refused = [&](const Shape& x, const Shape& w, const Shape& y, int64_t group) {
    return absl::IsInvalidArgument(MakeConvGeometry(x, w, y, group, window).status());
  };
  EXPECT_FALSE(refused(Shape({1, 4, 5, 5}), Shape({6, 2, 1, 1}), Shape({1, 6, 5, 5}), 2));
  EXPECT_TRUE(refused(Shape({1, 4, 5, 5}), Shape({6, 2, 1, 1}), Shape({1, 6, 5, 5}), 1));
  EXPECT_TRUE(refused(Shape({1, 4, 5, 5}), Shape({6, 2, 1, 1}), Shape({1, 6, 5, 5}), 0));
  EXPECT_TRUE(refused(Shape({1, 4, 5, 5}), Shape({6, 2, 1, 1}), Shape({1, 6, 5, 5}), -2));
  EXPECT_TRUE(refused(Shape({1, 4, 5, 5}), Shape({6, 2, 1, 1}), Shape({1, 6, 5, 6}), 2));
  EXPECT_TRUE(refused(Shape({1, 4, 5, 5}), Shape({6, 2, 1, 1}), Shape({2, 6, 5, 5}), 2));
  EXPECT_TRUE(refused(Shape({1, 4, 5, 5}), Shape({6, 2, 2, 1}), Shape({1, 6, 5, 5}), 2));
  EXPECT_TRUE(refused(Shape({4, 5, 5}), Shape({6, 2, 1, 1}), Shape({1, 6, 5, 5}), 2));
}

TEST(GeometryTest, SliceRefusesToLeaveTheInput) {
  const Shape x({4, 4});
  EXPECT_TRUE(MakeSlice(x, {{3, 0}}, {{-1, 3}}, Shape({4, 2})).ok());
  EXPECT_FALSE(MakeSlice(x, {{3, 0}}, {{-1, 3}}, Shape({5, 2})).ok());
  EXPECT_FALSE(MakeSlice(x, {{0, 0}}, {{1, 3}}, Shape({4, 3})).ok());
  EXPECT_FALSE(MakeSlice(x, {{-1, 0}}, {{1, 1}}, Shape({1, 1})).ok());
  EXPECT_FALSE(MakeSlice(x, {{0, 0}}, {{INT64_MAX, 1}}, Shape({4, 1})).ok());
  EXPECT_FALSE(MakeSlice(x, {{0}}, {{1}}, Shape({4, 4})).ok());
}

TEST(GeometryTest, PadRefusesExtentsThatDoNotAddUp) {
  EXPECT_FALSE(MakePad(Shape({2, 3}), {{1, 0}}, {{0, 0}}, Shape({2, 3})).ok());
  EXPECT_FALSE(MakePad(Shape({2, 3}), {{INT64_MAX, 0}}, {{INT64_MAX, 0}}, Shape({0, 3})).ok());
  EXPECT_TRUE(MakePad(Shape({2, 3}), {{-2, 0}}, {{0, 0}}, Shape({0, 3})).ok());
}

TEST(GeometryTest, TransposeRefusesWhatIsNoPermutation) {
  EXPECT_FALSE(MakeTranspose(Shape({2, 2}), {{0, 0}}, Shape({2, 2})).ok());
  EXPECT_FALSE(MakeTranspose(Shape({2, 2}), {{0, 2}}, Shape({2, 2})).ok());
  EXPECT_FALSE(MakeTranspose(Shape({2, 2}), {{-1, 0}}, Shape({2, 2})).ok());
  EXPECT_FALSE(MakeTranspose(Shape({2, 3}), {{1, 0}}, Shape({2, 3})).ok());
}

TEST(GeometryTest, BroadcastRefusesWhatDoesNotFit) {
  EXPECT_FALSE(MakeBroadcast(Shape({2}), Shape({3}), Shape({3})).ok());
  EXPECT_FALSE(MakeBroadcast(Shape({1}), Shape({1}), Shape({3})).ok());
  EXPECT_FALSE(MakeBroadcast(Shape({2, 3}), Shape({3}), Shape({3})).ok());
  EXPECT_TRUE(MakeBroadcast(Shape({2, 1}), Shape({3}), Shape({2, 3})).ok());
}

TEST(GeometryTest, ReductionRefusesAxesThatAreNotThere) {
  EXPECT_FALSE(MakeReduction(Shape({2, 3}), {{2}}, Shape({2, 1})).ok());
  EXPECT_FALSE(MakeReduction(Shape({2, 3}), {{1, 1}}, Shape({2, 1})).ok());
  EXPECT_FALSE(MakeReduction(Shape({2, 3}), {{1}}, Shape({3})).ok());
  EXPECT_TRUE(MakeReduction(Shape({2, 3}), {{1}}, Shape({2})).ok());
}

TEST(GeometryTest, MatMulRefusesInnerExtentsThatDiffer) {
  EXPECT_FALSE(MakeMatMulGeometry(Shape({2, 3}), Shape({4, 2}), Shape({2, 2})).ok());
  EXPECT_FALSE(MakeMatMulGeometry(Shape({2, 3}), Shape({3, 2}), Shape({2, 3})).ok());
  EXPECT_FALSE(MakeMatMulGeometry(Shape(), Shape({3, 2}), Shape({2})).ok());
  EXPECT_FALSE(MakeMatMulGeometry(Shape({2, 2, 3}), Shape({3, 3, 2}), Shape({2, 2, 2})).ok());
}

// A shape without elements bounds none of its other extents; nothing may be computed from them.
TEST(GeometryTest, EmptyTensorsWithHugeExtentsMakeNoLoops) {
  const Shape empty({0, kHuge, kHuge});
  int rows = 0;
  const auto count = [&](int64_t, int64_t, int64_t) { ++rows; };
  ForEachRow(*MakeBroadcast(empty, empty, empty), count);
  ForEachRow(*MakeTranspose(empty, {{0, 2, 1}}, empty), count);
  ForEachRow(*MakeSlice(empty, {{0, 0, 0}}, {{1, 1, 1}}, empty), count);
  ForEachRow(*MakePad(empty, {{0, 0, 0}}, {{0, 0, 0}}, empty), count);
  ForEachRow(*MakeReduction(empty, {{2}}, Shape({0, kHuge, 1})), count);
  EXPECT_EQ(rows, 0);
  EXPECT_EQ(MakeAxisView(empty, 1)->inner, 0);
  EXPECT_TRUE(MakeMatMulGeometry(empty, empty, empty).ok());
}

}  // namespace
}  // namespace shoji::kernels
