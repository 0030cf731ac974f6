// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/activation_ranges.h"

#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::quantization {
namespace {

using ::testing::HasSubstr;

TEST(ActivationRangesTest, RangeIsSpreadOverAllBytes) {
  const QuantizationParameters parameters = ParametersOf({-1, 1.55F});
  EXPECT_FLOAT_EQ(parameters.scale, 2.55F / 255);
  EXPECT_EQ(parameters.zero_point, 100);
}

TEST(ActivationRangesTest, RangeThatLeavesOutZeroIsWidenedToIt) {
  EXPECT_EQ(ParametersOf({2, 5.1F}), ParametersOf({0, 5.1F}));
  EXPECT_EQ(ParametersOf({2, 5.1F}).zero_point, 0);
  EXPECT_EQ(ParametersOf({-5.1F, -2}), ParametersOf({-5.1F, 0}));
  EXPECT_EQ(ParametersOf({-5.1F, -2}).zero_point, 255);
}

TEST(ActivationRangesTest, RangeWithoutWidthHasScaleOne) {
  EXPECT_EQ(ParametersOf({0, 0}), QuantizationParameters());
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(ParametersOf({-kTiny, kTiny}), QuantizationParameters());
}

TEST(ActivationRangesTest, EveryFiniteRangeGivesUsableParameters) {
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> exponent(-40, 38);
  for (int i = 0; i < 10'000; ++i) {
    const float min = -std::pow(10.0F, exponent(generator));
    const float max = std::pow(10.0F, exponent(generator));
    const QuantizationParameters parameters = ParametersOf({min, max});
    ASSERT_TRUE(std::isnormal(parameters.scale)) << min << " " << max;
  }
  EXPECT_TRUE(
      std::isfinite(ParametersOf({std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()}).scale));
}

TEST(ActivationRangesTest, EncodingIsTheDocumentedOne) {
  const ActivationRanges ranges = {{"b", {-1, 0.5F}}, {"a", {0, 2}}};
  EXPECT_EQ(HexEncode(CanonicalEncoding(ranges)),
            "0000000161"
            "00000000"
            "40000000"
            "0000000162"
            "bf800000"
            "3f000000");
}

TEST(ActivationRangesTest, ValidateNamesTheValueThatIsWrong) {
  EXPECT_TRUE(Validate({{"a", {-1, 1}}, {"b", {3, 3}}}).ok());
  for (const Range& bad : {Range{1, -1}, Range{0, std::numeric_limits<float>::infinity()},
                           Range{std::numeric_limits<float>::quiet_NaN(), 0}}) {
    const absl::Status status = Validate({{"a", {-1, 1}}, {"conv_out", bad}});
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("conv_out"));
  }
}

}  // namespace
}  // namespace shoji::quantization
