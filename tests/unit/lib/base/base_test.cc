// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The small headers: checked_math, near_match, status_macros, check, clock.
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/check.h"
#include "lib/base/checked_math.h"
#include "lib/base/clock.h"
#include "lib/base/near_match.h"
#include "lib/base/status_macros.h"

namespace shoji {
namespace {

TEST(CheckedMathTest, ResultsThatFitAreExact) {
  EXPECT_EQ(CheckedMul<int64_t>(-3, 7).value(), -21);
  EXPECT_EQ(CheckedAdd<uint8_t>(200, 55).value(), 255);
}

TEST(CheckedMathTest, ResultsThatDoNotFitAreErrors) {
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  EXPECT_EQ(CheckedMul<size_t>(kMax / 2 + 1, 2).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(CheckedAdd<size_t>(kMax, 1).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_FALSE(CheckedMul<int32_t>(std::numeric_limits<int32_t>::min(), -1).ok());
  EXPECT_FALSE(CheckedAdd<uint8_t>(200, 56).ok());
}

TEST(NearMatchTest, SuggestsTheNearestFirst) {
  const std::vector<std::string> nodes = {"block1_conv1", "block1_conv2", "block2_conv1", "fc8"};
  EXPECT_EQ(NearMatches("block1_conv2x", nodes).front(), "block1_conv2");
  EXPECT_EQ(DidYouMean("fc9", {"fc8", "relu"}), " (did you mean fc8?)");
}

TEST(NearMatchTest, SuggestsNothingWhenNothingIsNear) {
  EXPECT_EQ(DidYouMean("softmax", {"input", "conv"}), "");
  EXPECT_EQ(DidYouMean("x", {}), "");
}

TEST(NearMatchTest, AnEnormousNameIsHandled) {
  EXPECT_TRUE(NearMatches(std::string(1000000, 'a'), {std::string(1000000, 'b')}).size() <= 1);
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) {
    return absl::InvalidArgumentError("odd");
  }
  return value / 2;
}
absl::StatusOr<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}
absl::Status CheckEven(int value) {
  RETURN_IF_ERROR(Half(value).status());
  return absl::OkStatus();
}

TEST(StatusMacrosTest, ErrorsReturnAndValuesGoOn) {
  EXPECT_EQ(Quarter(12).value(), 3);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_TRUE(CheckEven(2).ok());
  EXPECT_FALSE(CheckEven(3).ok());
}

TEST(StatusMacrosTest, MoveOnlyValuesAreMoved) {
  const auto make = []() -> absl::StatusOr<std::unique_ptr<int>> { return std::make_unique<int>(5); };
  const auto use = [&make]() -> absl::StatusOr<int> {
    ASSIGN_OR_RETURN(const std::unique_ptr<int> value, make());
    return *value;
  };
  EXPECT_EQ(use().value(), 5);
}

TEST(CheckDeathTest, AFailedCheckAbortsAndNamesTheCondition) {
  EXPECT_DEATH(SHOJI_CHECK(1 + 1 == 3), "check failed: 1 \\+ 1 == 3");
}

TEST(ClockTest, SteadyTimeDoesNotGoBack) {
  const RealClock clock;
  const SteadyTime first = clock.SteadyNow();
  EXPECT_GE(clock.SteadyNow(), first);
  EXPECT_GT(clock.SystemNow().time_since_epoch(), std::chrono::hours(24 * 365 * 50));
}

}  // namespace
}  // namespace shoji
