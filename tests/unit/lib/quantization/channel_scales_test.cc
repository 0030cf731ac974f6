// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/channel_scales.h"

#include <random>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::quantization {
namespace {

using ::testing::Each;

constexpr size_t kPixels = 400;

// Non-negative values that reach about `spans`.
ChannelHistograms HistogramsOf(const std::vector<float>& spans) {
  std::mt19937 generator(2);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> planes;
  for (const float span : spans) {
    for (size_t i = 0; i < kPixels; ++i) {
      planes.push_back(span * uniform(generator));
    }
  }
  ChannelHistograms histograms(spans.size());
  histograms.Extend(planes);
  histograms.Count(planes);
  return histograms;
}

// A layer of `weights` [out][in / group].
struct Layer {
  Layer(int64_t in, int64_t out, int64_t group, std::vector<float> w) : weights(std::move(w)) {
    node.geometry.in_channels = in;
    node.geometry.out_channels = out;
    node.geometry.group = group;
    node.weights = weights.data();
    node.per_channel = node.channel_stride = static_cast<size_t>(in / group);
    node.factor.assign(static_cast<size_t>(out), 1);
    node.bias.assign(static_cast<size_t>(out), 0);
  }
  std::vector<float> weights;
  LinearNode node;
};

TEST(ChannelHistogramsTest, ErrorIsThatOfRoundingAndClipping) {
  const ChannelHistograms histograms = HistogramsOf({1, 4});
  EXPECT_NEAR(histograms.max(1), 4, 0.1);
  EXPECT_GE(histograms.min(1), 0);
  EXPECT_NEAR(histograms.mean_square(1), 16.0 / 3, 0.5);
  EXPECT_NEAR(histograms.SquaredError(0, 0.1, 0, 1), 0.01 / 12, 1e-5);
  // Values beyond 3 are a quarter; they lose (x - 3)^2, on average 1/3.
  EXPECT_NEAR(histograms.SquaredError(1, 1e-6, 0, 3), 0.25 / 3, 0.02);
}

TEST(ChannelHistogramsTest, ZerosLoseNothing) {
  ChannelHistograms histograms(1);
  const std::vector<float> values = {0, 0, 0, 1};
  histograms.Extend(values);
  histograms.Count(values);
  EXPECT_NEAR(histograms.SquaredError(0, 0.5, 0, 2), 0.25 * 0.25 / 12, 1e-9);
}

TEST(ChannelScalesTest, DepthwiseLayerTakesEveryChannelsOwnRange) {
  const ChannelHistograms histograms = HistogramsOf({8, 1, 0.5F, 4});
  const Layer layer(4, 4, 4, {1, 1, 1, 1});
  const Range range = WithScales({0, 8}, histograms, {{layer.node, 0}}, 0);
  ASSERT_EQ(range.scales.size(), 4U);
  EXPECT_NEAR(range.max, 8, 0.3);
  EXPECT_NEAR(range.scales[1], 1.0 / 8, 0.02);
  EXPECT_NEAR(range.scales[2], 0.5 / 8, 0.01);
  EXPECT_NEAR(range.scales[3], 0.5, 0.05);
}

TEST(ChannelScalesTest, ChannelsThatSpanTheSameNeedNoScales) {
  const ChannelHistograms histograms = HistogramsOf({2, 2, 2, 2});
  const Layer layer(4, 2, 1, {1, -1, 0.5F, 0.3F, 0.2F, 1, -1, 0.1F});
  const Range range = WithScales({0, 2}, histograms, {{layer.node, 0}}, 0);
  for (const float scale : range.scales) {
    EXPECT_NEAR(scale, 1, 0.05);
  }
}

TEST(ChannelScalesTest, NarrowChannelWithLargeWeightsIsGivenSmallerSteps) {
  const ChannelHistograms histograms = HistogramsOf({8, 0.25F});
  const Layer layer(2, 1, 1, {0.05F, 1});
  const Range range = WithScales({0, 8}, histograms, {{layer.node, 0}}, 0);
  ASSERT_EQ(range.scales.size(), 2U);
  EXPECT_LT(range.scales[1], 0.5F);
  EXPECT_FLOAT_EQ(range.scales[0], 1);
}

TEST(ChannelScalesTest, ReaderOfSomeChannelsCountsForThose) {
  const ChannelHistograms histograms = HistogramsOf({8, 8, 0.5F, 1});
  // Depthwise, of the last two channels.
  const Layer layer(2, 2, 2, {1, 1});
  const Range range = WithScales({0, 8}, histograms, {{layer.node, 2}}, 0);
  ASSERT_EQ(range.scales.size(), 4U);
  EXPECT_NEAR(range.max * range.scales[2], 0.5, 0.05);
  EXPECT_NEAR(range.max * range.scales[3], 1, 0.1);
}

TEST(ChannelScalesTest, ValueThatIsAlwaysZeroHasItsPlainRange) {
  ChannelHistograms histograms(2);
  const std::vector<float> zeros(2 * kPixels);
  histograms.Extend(zeros);
  histograms.Count(zeros);
  const Layer layer(2, 1, 1, {1, 1});
  EXPECT_EQ(WithScales({0, 0}, histograms, {{layer.node, 0}}, 1), (Range{0, 0}));
}

TEST(ChannelScalesTest, ScalesAreWhatAFileAccepts) {
  const ChannelHistograms histograms = HistogramsOf({1000, 1e-6F, 0, 3});
  const Layer layer(4, 4, 4, {1, 1, 1, 1});
  const Range range = WithScales({0, 1000}, histograms, {{layer.node, 0}}, 0);
  EXPECT_THAT(range.scales, Each(::testing::AllOf(::testing::Gt(0), ::testing::Le(1))));
  EXPECT_TRUE(Validate({{"x", range}}).ok());
}

}  // namespace
}  // namespace shoji::quantization
