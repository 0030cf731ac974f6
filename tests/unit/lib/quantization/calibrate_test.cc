// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/calibrate.h"

#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/quantization/histogram.h"
#include "tests/unit/lib/execution/graph_builder.h"
#include "tests/unit/lib/quantization/program_checks.h"

namespace shoji::quantization {
namespace {

using execution::GraphBuilder;
using execution::RandomTensor;
using graph::Op;
using graph::ValueId;
using ::testing::HasSubstr;

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

// y = conv(2 x): the sum is what goes into a layer.
class CalibratorTest : public ::testing::Test {
 protected:
  CalibratorTest() {
    const ValueId x = b_.Input(Shape({1, 1, 2, 2}));
    sum_ = b_.Node(Op::kAdd, {x, x}, b_.shape(x));
    conv_ = b_.Conv(sum_, 2, 1);
    b_.Output(b_.Node(Op::kRelu, {conv_}, b_.shape(conv_)));
  }
  std::unique_ptr<Calibrator> Make(CalibrationMethod method) {
    auto calibrator = Calibrator::Create(b_.graph(), method);
    EXPECT_TRUE(calibrator.ok()) << calibrator.status();
    return *std::move(calibrator);
  }
  std::string Name(ValueId value) { return b_.graph().values[value].name; }
  static Tensor Example(std::vector<float> values) { return Tensor::Of<float>(Shape({1, 1, 2, 2}), values); }

  GraphBuilder b_;
  ValueId sum_ = 0;
  ValueId conv_ = 0;
};

// All passes of `method` over `examples`.
ActivationRanges Calibrated(const graph::Graph& graph, CalibrationMethod method, std::span<const Tensor> examples) {
  auto calibrator = Calibrator::Create(graph, method);
  EXPECT_TRUE(calibrator.ok()) << calibrator.status();
  for (int pass = 0; pass < (*calibrator)->num_passes(); ++pass) {
    if (pass > 0) {
      (*calibrator)->NextPass();
    }
    for (const Tensor& example : examples) {
      EXPECT_TRUE((*calibrator)->Observe({&example}).ok());
    }
  }
  auto ranges = (*calibrator)->Finish();
  EXPECT_TRUE(ranges.ok()) << ranges.status();
  return *std::move(ranges);
}

TEST_F(CalibratorTest, InputAndWhatLayersReadGetTheirRange) {
  const auto calibrator = Make(CalibrationMethod::kMinMax);
  EXPECT_EQ(calibrator->num_passes(), 1);
  const Tensor first = Example({-1, 0, 0, 1});
  const Tensor second = Example({3, -0.5F, 0, 1});
  ASSERT_TRUE(calibrator->Observe({&first}).ok());
  ASSERT_TRUE(calibrator->Observe({&second}).ok());
  const auto ranges = calibrator->Finish();
  ASSERT_TRUE(ranges.ok()) << ranges.status();
  EXPECT_EQ(*ranges, (ActivationRanges{{"v0", {-1, 3}}, {"v1", {-2, 6}}}));
}

TEST_F(CalibratorTest, OtherMethodsSeeEveryExampleMoreThanOnce) {
  for (const CalibrationMethod method : {CalibrationMethod::kPercentile, CalibrationMethod::kMeanSquaredError}) {
    const auto calibrator = Make(method);
    ASSERT_EQ(calibrator->num_passes(), method == CalibrationMethod::kPercentile ? 2 : 3);
    const Tensor example = Example({-1, 0.5F, 0.25F, 1});
    ASSERT_TRUE(calibrator->Observe({&example}).ok());
    for (int pass = 1; pass < calibrator->num_passes(); ++pass) {
      EXPECT_TRUE(absl::IsFailedPrecondition(calibrator->Finish().status())) << "a pass is missing";
      calibrator->NextPass();
      ASSERT_TRUE(calibrator->Observe({&example}).ok());
    }
    const auto ranges = calibrator->Finish();
    ASSERT_TRUE(ranges.ok()) << ranges.status();
    EXPECT_LE(ranges->at(Name(sum_)).max, 2);
    EXPECT_GT(ranges->at(Name(sum_)).max, 1.8F);
  }
}

TEST_F(CalibratorTest, LayersGetCorrectionsAndRoundings) {
  const Tensor example = RandomTensor(Shape({1, 1, 2, 2}), 1);
  const ActivationRanges ranges = Calibrated(b_.graph(), CalibrationMethod::kMeanSquaredError, std::span(&example, 1));
  EXPECT_EQ(ranges.at(Name(conv_)).correction.size(), 2U);
  EXPECT_EQ(ranges.at(Name(conv_)).rounding.size(), 2U);
  for (const CalibrationMethod method : {CalibrationMethod::kMinMax, CalibrationMethod::kPercentile}) {
    EXPECT_EQ(Calibrated(b_.graph(), method, std::span(&example, 1)).count(Name(conv_)), 0U);
  }
}

TEST_F(CalibratorTest, SameExamplesGiveTheSameRanges) {
  const std::vector<Tensor> examples = [] {
    std::vector<Tensor> out;
    for (unsigned i = 0; i < 5; ++i) {
      out.push_back(RandomTensor(Shape({1, 1, 2, 2}), i));
    }
    return out;
  }();
  EXPECT_EQ(Calibrated(b_.graph(), CalibrationMethod::kMeanSquaredError, examples),
            Calibrated(b_.graph(), CalibrationMethod::kMeanSquaredError, examples));
}

TEST(CalibratorMethodsTest, MeanSquaredErrorGivesSmallerErrorsThanTheExtremes) {
  // A depthwise layer whose channels span very different ranges, with far outliers.
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 8, 8, 8}));
  const ValueId first = b.Node(Op::kRelu, {b.Conv(x, 8, 3, 8)}, b.shape(x));
  const ValueId second = b.Node(Op::kRelu, {b.Conv(first, 16, 1)}, Shape({1, 16, 8, 8}));
  b.Output(b.Conv(second, 12, 1));
  std::vector<Tensor> examples;
  for (unsigned i = 0; i < 30; ++i) {
    Tensor example = RandomTensor(Shape({1, 8, 8, 8}), 17 * i);
    for (size_t k = 0; k < example.num_elements(); ++k) {
      example.mutable_values<float>()[k] *= std::pow(3.0F, -static_cast<float>(k / 64));
    }
    examples.push_back(std::move(example));
  }
  const auto error = [&](CalibrationMethod method) {
    const auto program = CompileOrDie(b.graph(), Calibrated(b.graph(), method, examples));
    double sum = 0;
    for (const Tensor& example : examples) {
      std::vector<Tensor> inputs;
      inputs.push_back(example.Clone());
      const std::vector<Tensor> exact = RunFloat(b.graph(), inputs);
      const std::vector<Tensor> rounded = RunChecked(*program, inputs);
      for (size_t k = 0; k < exact[0].num_elements(); ++k) {
        const double off = static_cast<double>(exact[0].values<float>()[k] - rounded[0].values<float>()[k]);
        sum += off * off;
      }
    }
    return sum;
  };
  EXPECT_LT(error(CalibrationMethod::kMeanSquaredError), 0.5 * error(CalibrationMethod::kMinMax));
}

TEST_F(CalibratorTest, FinishWithoutAnExampleFails) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Make(CalibrationMethod::kMinMax)->Finish().status()));
}

TEST_F(CalibratorTest, PassAfterOneWithoutExamplesFails) {
  const auto calibrator = Make(CalibrationMethod::kMeanSquaredError);
  calibrator->NextPass();
  calibrator->NextPass();
  const Tensor example = Example({0, 0, 0, 1});
  EXPECT_TRUE(absl::IsFailedPrecondition(calibrator->Observe({&example})));
  EXPECT_TRUE(absl::IsFailedPrecondition(calibrator->Finish().status()));
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
