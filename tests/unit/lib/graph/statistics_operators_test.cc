// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Reductions, Softmax and normalizations, against their definitions in double precision.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/unit/lib/graph/run_model.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;

// [1, kChannels, kPixels]
constexpr size_t kChannels = 6;
constexpr size_t kPixels = 20;

Floats Picture() { return Spread(kChannels * kPixels, -1, 3); }

double At(const Floats& x, size_t channel, size_t pixel) { return static_cast<double>(x[channel * kPixels + pixel]); }

OnnxBuilder& AddPicture(OnnxBuilder& builder) { return builder.Input("x", {1, static_cast<int64_t>(kChannels), 4, 5}); }

// What `op` makes of `values`.
double Reduced(const std::string& op, const std::vector<double>& values) {
  double sum = 0;
  double absolute = 0;
  double squares = 0;
  double powers = 0;
  for (const double value : values) {
    sum += value;
    absolute += std::abs(value);
    squares += value * value;
    powers += std::exp(value);
  }
  if (op == "ReduceMax") {
    return *std::max_element(values.begin(), values.end());
  }
  if (op == "ReduceMin") {
    return *std::min_element(values.begin(), values.end());
  }
  return op == "ReduceSum"         ? sum
         : op == "ReduceMean"      ? sum / static_cast<double>(values.size())
         : op == "ReduceL1"        ? absolute
         : op == "ReduceL2"        ? std::sqrt(squares)
         : op == "ReduceSumSquare" ? squares
                                   : std::log(powers);
}

class ReduceTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ReduceTest, ReducesPixelsAndChannels) {
  OnnxBuilder builder(11);
  AddPicture(builder).Node(GetParam(), {"x"}, {"pixels"}).Attribute("axes", {-1, 2}).Attribute("keepdims", int64_t{0});
  builder.Node(GetParam(), {"x"}, {"channels"}).Attribute("axes", std::vector<int64_t>{1});
  const Floats x = Picture();
  const std::vector<Floats> y = RunModel(builder.Output("pixels").Output("channels"), {x});
  Floats pixels;
  for (size_t c = 0; c < kChannels; ++c) {
    std::vector<double> values;
    for (size_t p = 0; p < kPixels; ++p) {
      values.push_back(At(x, c, p));
    }
    pixels.push_back(static_cast<float>(Reduced(GetParam(), values)));
  }
  Floats channels;
  for (size_t p = 0; p < kPixels; ++p) {
    std::vector<double> values;
    for (size_t c = 0; c < kChannels; ++c) {
      values.push_back(At(x, c, p));
    }
    channels.push_back(static_cast<float>(Reduced(GetParam(), values)));
  }
  ExpectNear(y.at(0), pixels);
  ExpectNear(y.at(1), channels);
}

TEST_P(ReduceTest, AxesAreAnInputSinceOperatorSet18) {
  OnnxBuilder old(11);
  AddPicture(old).Node(GetParam(), {"x"}, {"y"}).Attribute("axes", {2, 3});
  OnnxBuilder now(18);
  AddPicture(now).Ints("axes", {-1, -2}).Node(GetParam(), {"x", "axes"}, {"y"});
  ExpectNear(RunModel(now.Output("y"), {Picture()}).at(0), RunModel(old.Output("y"), {Picture()}).at(0));
}

INSTANTIATE_TEST_SUITE_P(Reductions, ReduceTest,
                         ::testing::Values("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
                                           "ReduceSumSquare", "ReduceLogSumExp"));

TEST(StatisticsOperatorsTest, ReductionOverNoAxisChangesNothing) {
  OnnxBuilder builder(18);
  builder.Input("x", {1, 3}).Node("ReduceMean", {"x"}, {"m"}).Attribute("noop_with_empty_axes", int64_t{1});
  ExpectNear(RunModel(builder.Node("Neg", {"m"}, {"y"}).Output("y"), {{1, 2, 3}}).at(0), {-1, -2, -3});
}

TEST(StatisticsOperatorsTest, ProductsOfActivationsAreRefused) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Node("ReduceProd", {"x"}, {"y"}).Output("y");
  EXPECT_EQ(ImportOnnx(builder.Build()).status().message(),
            "node `y` (ReduceProd): the operator is supported on constants only");
}

TEST(StatisticsOperatorsTest, LogSoftmaxOfFarApartValuesKeepsThemApart) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Node("LogSoftmax", {"x"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {{0, 500, 100}}).at(0), {-500, 0, -400});
}

TEST(StatisticsOperatorsTest, OldLogSoftmaxIsOverAllAxesFromItsOwn) {
  OnnxBuilder builder(11);
  AddPicture(builder).Node("LogSoftmax", {"x"}, {"y"}).Output("y");
  const Floats x = Picture();
  double sum = 0;
  for (const float value : x) {
    sum += std::exp(static_cast<double>(value));
  }
  Floats expected;
  for (const float value : x) {
    expected.push_back(value - static_cast<float>(std::log(sum)));
  }
  ExpectNear(RunModel(builder, {x}).at(0), expected);
}

TEST(StatisticsOperatorsTest, LrnDividesBySquaresOfTheChannelsAround) {
  for (const int64_t size : {int64_t{1}, int64_t{4}, int64_t{5}, int64_t{30}}) {
    for (const float beta : {0.75F, 0.4F}) {
      OnnxBuilder builder(13);
      AddPicture(builder).Node("LRN", {"x"}, {"y"}).Attribute("size", size).Attribute("alpha", 0.3F);
      builder.Attribute("beta", beta).Attribute("bias", 1.5F).Output("y");
      const Floats x = Picture();
      Floats expected;
      for (size_t c = 0; c < kChannels; ++c) {
        for (size_t p = 0; p < kPixels; ++p) {
          double sum = 0;
          for (size_t other = 0; other < kChannels; ++other) {
            const int64_t distance = static_cast<int64_t>(other) - static_cast<int64_t>(c);
            sum += distance >= -((size - 1) / 2) && distance <= size / 2 ? At(x, other, p) * At(x, other, p) : 0;
          }
          const double base = 1.5 + static_cast<double>(0.3F) / static_cast<double>(size) * sum;
          expected.push_back(static_cast<float>(At(x, c, p) / std::pow(base, static_cast<double>(beta))));
        }
      }
      ExpectNear(RunModel(builder, {x}).at(0), expected);
    }
  }
}

TEST(StatisticsOperatorsTest, LrnOfNoChannelsIsRefused) {
  OnnxBuilder builder(13);
  AddPicture(builder).Node("LRN", {"x"}, {"y"}).Attribute("size", int64_t{0}).Output("y");
  EXPECT_EQ(ImportOnnx(builder.Build()).status().message(), "node `y` (LRN): attribute `size`: 0 is out of range");
}

// The values in groups of `group`, each less its mean and by its deviation.
Floats Standardized(const Floats& x, size_t group) {
  Floats out;
  for (size_t first = 0; first < x.size(); first += group) {
    double sum = 0;
    double squares = 0;
    for (size_t i = first; i < first + group; ++i) {
      sum += static_cast<double>(x[i]);
    }
    const double mean = sum / static_cast<double>(group);
    for (size_t i = first; i < first + group; ++i) {
      squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
    }
    const double deviation = std::sqrt(squares / static_cast<double>(group) + 1e-5);
    for (size_t i = first; i < first + group; ++i) {
      out.push_back(static_cast<float>((static_cast<double>(x[i]) - mean) / deviation));
    }
  }
  return out;
}

// `x` with one factor and one addend for each run of `length`.
Floats Scaled(Floats x, const Floats& scale, const Floats& bias, size_t length) {
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = x[i] * scale[i / length] + bias[i / length];
  }
  return x;
}

const Floats kScale = {1, 2, -1, 0.5F, 3, 1.5F};
const Floats kBias = {0, 1, 2, 3, -4, 5};

TEST(StatisticsOperatorsTest, InstanceNormalizationIsOfEachChannel) {
  OnnxBuilder builder(13);
  AddPicture(builder).Weight("s", {6}, kScale).Weight("b", {6}, kBias);
  builder.Node("InstanceNormalization", {"x", "s", "b"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {Picture()}).at(0), Scaled(Standardized(Picture(), kPixels), kScale, kBias, kPixels),
             1e-4F);
}

TEST(StatisticsOperatorsTest, GroupNormalizationHasOneScaleAGroupAndLaterOneAChannel) {
  OnnxBuilder old(18);
  AddPicture(old).Weight("s", {2}, {2, 3}).Weight("b", {2}, {-1, 1});
  old.Node("GroupNormalization", {"x", "s", "b"}, {"y"}).Attribute("num_groups", int64_t{2}).Output("y");
  const Floats standardized = Standardized(Picture(), kPixels * 3);
  ExpectNear(RunModel(old, {Picture()}).at(0), Scaled(standardized, {2, 3}, {-1, 1}, kPixels * 3), 1e-4F);
  OnnxBuilder now(21);
  AddPicture(now).Weight("s", {6}, kScale).Weight("b", {6}, kBias);
  now.Node("GroupNormalization", {"x", "s", "b"}, {"y"}).Attribute("num_groups", int64_t{2}).Output("y");
  ExpectNear(RunModel(now, {Picture()}).at(0), Scaled(standardized, kScale, kBias, kPixels), 1e-4F);
}

TEST(StatisticsOperatorsTest, LayerNormalizationIsOverTheLastAxes) {
  OnnxBuilder builder(17);
  const Floats factor = {1, 2, 3, 4, 5};
  AddPicture(builder).Weight("s", {5}, factor).Node("LayerNormalization", {"x", "s"}, {"y"}).Output("y");
  Floats expected = Standardized(Picture(), 5);
  for (size_t i = 0; i < expected.size(); ++i) {
    expected[i] *= factor[i % 5];
  }
  ExpectNear(RunModel(builder, {Picture()}).at(0), expected, 1e-4F);
}

TEST(StatisticsOperatorsTest, LpNormalizationOfZerosIsZeros) {
  OnnxBuilder builder(13);
  builder.Input("x", {2, 3}).Node("LpNormalization", {"x"}, {"two"}).Node("LpNormalization", {"x"}, {"one"});
  builder.Attribute("p", int64_t{1}).Output("two").Output("one");
  const std::vector<Floats> y = RunModel(builder, {{0, 0, 0, 3, 0, -4}});
  ExpectNear(y.at(0), {0, 0, 0, 0.6F, 0, -0.8F});
  ExpectNear(y.at(1), {0, 0, 0, 3.0F / 7, 0, -4.0F / 7});
}

TEST(StatisticsOperatorsTest, BatchNormalizationOfEachElementUsesItsOwnParameters) {
  OnnxBuilder builder(7);
  builder.Input("x", {1, 2, 2}).Weight("s", {2, 2}, {1, 2, 3, 4}).Weight("b", {2, 2}, {0, 0, 0, 1});
  builder.Weight("m", {2, 2}, {1, 1, 1, 1}).Weight("v", {2, 2}, {4, 4, 1, 1});
  builder.Node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"}).Attribute("spatial", int64_t{0});
  builder.Attribute("epsilon", 0.0F).Output("y");
  ExpectNear(RunModel(builder, {{3, 3, 3, 3}}).at(0), {1, 2, 6, 9});
}

TEST(StatisticsOperatorsTest, GlobalPoolsCoverTheImage) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2, 2, 2});
  builder.Node("GlobalMaxPool", {"x"}, {"max"}).Node("GlobalAveragePool", {"x"}, {"mean"});
  builder.Node("GlobalLpPool", {"x"}, {"two"}).Node("GlobalLpPool", {"x"}, {"one"}).Attribute("p", int64_t{1});
  builder.Output("max").Output("mean").Output("two").Output("one");
  const std::vector<Floats> y = RunModel(builder, {{1, -3, 2, 0, -1, -2, -3, -4}});
  ExpectNear(y.at(0), {2, -1});
  ExpectNear(y.at(1), {0, -2.5F});
  ExpectNear(y.at(2), {std::sqrt(14.0F), std::sqrt(30.0F)});
  ExpectNear(y.at(3), {6, 10});
}

TEST(StatisticsOperatorsTest, CeilModeMakesNoWindowThatStartsBehindTheInput) {
  OnnxBuilder builder(12);
  builder.Input("x", {1, 1, 4, 4}).Node("MaxPool", {"x"}, {"y"}).Attribute("kernel_shape", {1, 1});
  builder.Attribute("strides", {2, 2}).Attribute("ceil_mode", int64_t{1}).Output("y");
  const Floats x = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  ExpectNear(RunModel(builder, {x}).at(0), {0, 2, 8, 10});
}

}  // namespace
}  // namespace shoji::graph
