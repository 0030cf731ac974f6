// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/calibrate.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/quantization/histogram.h"
#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::quantization {
namespace {

using execution::GraphBuilder;
using graph::Op;
using graph::ValueId;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

Histogram HistogramOf(const std::vector<float>& values) {
  Histogram histogram;
  EXPECT_TRUE(histogram.Extend(values));
  histogram.Count(values);
  return histogram;
}

// 100,000 normal numbers and one far away.
std::vector<float> NormalNumbersAndOneFarAway() {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(100'000);
  for (float& value : values) {
    value = normal(generator);
  }
  values.push_back(60);
  return values;
}

TEST(HistogramTest, ExtremesAreThoseSeen) {
  Histogram histogram;
  EXPECT_TRUE(histogram.is_empty());
  const std::vector<float> values = {3, -2, 0.5F};
  EXPECT_TRUE(histogram.Extend(values));
  EXPECT_EQ(histogram.extremes(), (Range{-2, 3}));
}

TEST(HistogramTest, WhatIsNotFiniteIsReported) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    Histogram histogram;
    EXPECT_FALSE(histogram.Extend(std::vector<float>{1, bad}));
  }
}

TEST(HistogramTest, PercentileLeavesOutAtMostItsShare) {
  const std::vector<float> values = NormalNumbersAndOneFarAway();
  const Range range = HistogramOf(values).Percentile(1e-4);
  size_t num_outside = 0;
  for (const float value : values) {
    num_outside += value < range.min || value > range.max ? size_t{1} : size_t{0};
  }
  EXPECT_LE(num_outside, 10U);
  EXPECT_GE(num_outside, 3U);
  EXPECT_LT(range.max, 6);
}

TEST(HistogramTest, LeastSquaresBeatsTheExtremes) {
  const std::vector<float> values = NormalNumbersAndOneFarAway();
  const Histogram histogram = HistogramOf(values);
  const auto error = [&](const Range& range) {
    const QuantizationParameters p = ParametersOf(range);
    double sum = 0;
    for (const float value : values) {
      const float q =
          std::min(std::max(std::nearbyint(value / p.scale) + static_cast<float>(p.zero_point), 0.0F), 255.0F);
      const double off = static_cast<double>(p.scale * (q - static_cast<float>(p.zero_point)) - value);
      sum += off * off;
    }
    return sum;
  };
  const Range best = histogram.LeastSquares();
  EXPECT_LT(error(best), 0.9 * error(histogram.extremes()));
  EXPECT_LT(error(best), 1.01 * error({-4, 4}));
}

TEST(HistogramTest, ValueThatNeverChangesHasItsOwnRange) {
  const Histogram histogram = HistogramOf(std::vector<float>(100, 2.5F));
  EXPECT_EQ(histogram.LeastSquares(), (Range{2.5F, 2.5F}));
  EXPECT_EQ(histogram.Percentile(1e-4), (Range{2.5F, 2.5F}));
  EXPECT_EQ(HistogramOf({0, 0, 0}).LeastSquares(), (Range{0, 0}));
}

class CalibratorTest : public ::testing::Test {
 protected:
  CalibratorTest() {
    const ValueId x = b_.Input(Shape({1, 1, 2, 2}));
    const ValueId doubled = b_.Node(Op::kAdd, {x, x}, b_.shape(x));
    b_.Output(b_.Node(Op::kRelu, {doubled}, b_.shape(x)));
  }
  std::unique_ptr<Calibrator> Make(CalibrationMethod method) {
    auto calibrator = Calibrator::Create(b_.graph(), method);
    EXPECT_TRUE(calibrator.ok()) << calibrator.status();
    return *std::move(calibrator);
  }
  static Tensor Example(std::vector<float> values) { return Tensor::Of<float>(Shape({1, 1, 2, 2}), values); }

  GraphBuilder b_;
};

TEST_F(CalibratorTest, EveryValueAndInputGetsItsRange) {
  const auto calibrator = Make(CalibrationMethod::kMinMax);
  EXPECT_EQ(calibrator->num_passes(), 1);
  const Tensor first = Example({-1, 0, 0, 1});
  const Tensor second = Example({3, -0.5F, 0, 1});
  ASSERT_TRUE(calibrator->Observe({&first}).ok());
  ASSERT_TRUE(calibrator->Observe({&second}).ok());
  const auto ranges = calibrator->Finish();
  ASSERT_TRUE(ranges.ok()) << ranges.status();
  EXPECT_EQ(*ranges, (ActivationRanges{{"v0", {-1, 3}}, {"v1", {-2, 6}}, {"v2", {0, 6}}}));
}

TEST_F(CalibratorTest, OtherMethodsSeeEveryExampleTwice) {
  for (const CalibrationMethod method : {CalibrationMethod::kPercentile, CalibrationMethod::kMeanSquaredError}) {
    const auto calibrator = Make(method);
    ASSERT_EQ(calibrator->num_passes(), 2);
    const Tensor example = Example({-1, 0.5F, 0.25F, 1});
    ASSERT_TRUE(calibrator->Observe({&example}).ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(calibrator->Finish().status())) << "the second pass is missing";
    calibrator->NextPass();
    ASSERT_TRUE(calibrator->Observe({&example}).ok());
    const auto ranges = calibrator->Finish();
    ASSERT_TRUE(ranges.ok()) << ranges.status();
    EXPECT_THAT(*ranges, UnorderedElementsAre(Key("v0"), Key("v1"), Key("v2")));
    EXPECT_LE(ranges->at("v1").max, 2);
    EXPECT_GT(ranges->at("v1").max, 1.8F);
  }
}

TEST_F(CalibratorTest, FinishWithoutAnExampleFails) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Make(CalibrationMethod::kMinMax)->Finish().status()));
}

TEST_F(CalibratorTest, ExampleThatOverflowsNamesTheValue) {
  const auto calibrator = Make(CalibrationMethod::kMinMax);
  const Tensor example = Example({3e38F, 0, 0, 0});
  const absl::Status status = calibrator->Observe({&example});
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("value v1 is not finite"));
}

TEST_F(CalibratorTest, ExampleOfAnotherShapeIsRefused) {
  const Tensor example(DataType::kFloat32, Shape({1, 1, 2, 3}));
  EXPECT_TRUE(absl::IsInvalidArgument(Make(CalibrationMethod::kMinMax)->Observe({&example})));
}

}  // namespace
}  // namespace shoji::quantization
