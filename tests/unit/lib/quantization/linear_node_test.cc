// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/linear_node.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::quantization {
namespace {

using execution::GraphBuilder;
using execution::RandomTensor;
using graph::Op;
using graph::ValueId;
using kernels::ring::Ring;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A dense layer of `weights` [out][in] and `bias`.
struct Dense {
  Dense(int64_t in, int64_t out, std::vector<float> w, std::vector<double> b) : weights(std::move(w)) {
    node.geometry.in_channels = in;
    node.geometry.out_channels = out;
    node.weights = weights.data();
    node.per_channel = node.channel_stride = static_cast<size_t>(in);
    node.factor.assign(static_cast<size_t>(out), 1);
    node.bias = std::move(b);
  }
  std::vector<float> weights;
  LinearNode node;
};

ByteTensor FormWith(const QuantizationParameters& parameters, std::vector<float> scales = {}) {
  ByteTensor form;
  form.parameters = parameters;
  form.scales = std::move(scales);
  return form;
}

LinearOutput BytesOf(const QuantizationParameters& parameters) {
  return {FormWith(parameters), {parameters.zero_point, 0, 255}};
}

TEST(LinearNodeTest, EveryChannelSpansItsOwnWeights) {
  Dense dense(2, 3, {1, -0.5F, 0.02F, 0.01F, -4, 4}, {0, 0, 0});
  const auto layer = QuantizeLinear("fc", dense.node, FormWith({0.5F, 10}), BytesOf({0.25F, 3}));
  ASSERT_TRUE(layer.ok()) << layer.status();
  EXPECT_THAT(layer->weights, ElementsAre(127, -64, 127, 64, -127, 127));  // halves go to the even neighbour
  EXPECT_THAT(layer->multiplier, ElementsAre(static_cast<float>(0.5 * (1 / 127.0) / 0.25),
                                             static_cast<float>(0.5 * (static_cast<double>(0.02F) / 127.0) / 0.25),
                                             static_cast<float>(0.5 * (4 / 127.0) / 0.25)));
}

TEST(LinearNodeTest, ExtremesAreReachedByTheWorstInputs) {
  Dense dense(3, 1, {127, -127, 1}, {0});
  const auto layer = QuantizeLinear("fc", dense.node, FormWith({1, 100}), {});
  ASSERT_TRUE(layer.ok());
  // x' from -100 to 155.
  EXPECT_THAT(layer->hi, ElementsAre(127 * 155 + 127 * 100 + 155));
  EXPECT_THAT(layer->lo, ElementsAre(-127 * 100 - 127 * 155 - 100));
}

TEST(LinearNodeTest, WeightsHoldTheScalesOfTheirInputChannels) {
  Dense dense(3, 1, {127, 120, 100}, {0});
  const auto layer = QuantizeLinear("fc", dense.node, FormWith({1, 0}, {1, 0.5F, 0.1F}), {});
  ASSERT_TRUE(layer.ok());
  EXPECT_THAT(layer->weights, ElementsAre(127, 60, 10));
}

TEST(LinearNodeTest, EveryGroupHasTheScalesOfItsChannels) {
  // Two groups of two input channels, kernels of one by two.
  Dense dense(4, 2, {127, 100, 80, 60, 100, 80, 127, 60}, {0, 0});
  dense.node.geometry.group = 2;
  dense.node.geometry.window.kernel = {1, 2};
  dense.node.per_channel = dense.node.channel_stride = 4;
  const auto layer = QuantizeLinear("conv", dense.node, FormWith({1, 0}, {1, 0.5F, 0.1F, 1}), {});
  ASSERT_TRUE(layer.ok());
  EXPECT_THAT(layer->weights, ElementsAre(127, 100, 40, 30, 10, 8, 127, 60));
}

TEST(LinearNodeTest, SmallStepsOfTheOutputMakeLargeMultipliers) {
  Dense dense(1, 2, {127, 127}, {0, 0});
  LinearOutput output = BytesOf({2, 0});
  output.form->scales = {1, 0.25F};
  const auto layer = QuantizeLinear("fc", dense.node, FormWith({1, 0}), output);
  ASSERT_TRUE(layer.ok());
  EXPECT_THAT(layer->multiplier, ElementsAre(0.5F, 2.0F));
}

TEST(LinearNodeTest, RoundingFollowsTheSignOfTheFactorAndStaysInBounds) {
  const std::vector<int8_t> rounding = {1, -1, 1, -1};
  Dense dense(2, 2, {127, 50, 127, 50}, {0, 0});
  dense.node.rounding = rounding;
  dense.node.factor = {1, -1};
  const auto layer = QuantizeLinear("fc", dense.node, FormWith({1, 0}), {});
  ASSERT_TRUE(layer.ok());
  EXPECT_THAT(layer->weights, ElementsAre(127, 49, -127, -49));
  EXPECT_THAT(WeightsInSteps(dense.node, FormWith({1, 0}), 1), ElementsAre(127, 50));
}

TEST(LinearNodeTest, BiasIsInUnitsOfTheAccumulator) {
  Dense dense(1, 2, {127, 12.7F}, {3, -3});
  const auto layer = QuantizeLinear("fc", dense.node, FormWith({0.5F, 0}), {});
  ASSERT_TRUE(layer.ok());
  EXPECT_THAT(layer->bias, ElementsAre(6, -60));
}

TEST(LinearNodeTest, ChannelOfZerosKeepsItsBias) {
  Dense dense(2, 2, {0, 0, 0, 0}, {0.7, 0});
  const auto layer = QuantizeLinear("fc", dense.node, FormWith({0.02F, 0}), {});
  ASSERT_TRUE(layer.ok());
  EXPECT_THAT(layer->weights, Each(0));
  EXPECT_FLOAT_EQ(static_cast<float>(layer->bias[0]) * layer->multiplier[0], 0.7F);
  EXPECT_EQ(layer->bias[1], 0);
  EXPECT_GT(layer->multiplier[1], 0);
}

TEST(LinearNodeTest, BiasThatDwarfsTheWeightsStaysInBounds) {
  Dense dense(1, 1, {1e-20F}, {1e6});
  const auto layer = QuantizeLinear("fc", dense.node, FormWith({1e-3F, 0}), {});
  ASSERT_TRUE(layer.ok());
  EXPECT_LE(std::abs(layer->bias[0]), int64_t{1} << 30);
  EXPECT_FLOAT_EQ(static_cast<float>(layer->bias[0]) * layer->multiplier[0], 1e6F);
}

TEST(LinearNodeTest, RingIsTheSmallestThatHoldsEveryChannel) {
  // 255 * 127 * 518 is the largest multiple below 2^24.
  const auto ring_of = [](int64_t in, uint8_t zero_point) {
    Dense dense(in, 2, std::vector<float>(static_cast<size_t>(2 * in), 1), {0, 0});
    std::fill(dense.weights.begin() + in, dense.weights.end(), 0.0F);
    dense.weights[static_cast<size_t>(in)] = 1;
    return QuantizeLinear("fc", dense.node, FormWith({1, zero_point}), {});
  };
  for (const uint8_t zero_point : {uint8_t{0}, uint8_t{100}, uint8_t{255}}) {
    EXPECT_EQ(ring_of(518, zero_point)->ring, Ring::k24);
    EXPECT_EQ(ring_of(519, zero_point)->ring, Ring::k32);
    EXPECT_EQ(ring_of(132'621, zero_point)->ring, Ring::k32);
    const auto too_long = ring_of(132'625, zero_point);
    EXPECT_TRUE(absl::IsInvalidArgument(too_long.status()));
    EXPECT_THAT(std::string(too_long.status().message()), HasSubstr("layer fc"));
  }
}

TEST(LinearNodeTest, NumbersThatAreTooLargeAreRefused) {
  Dense infinite(1, 1, {std::numeric_limits<float>::infinity()}, {0});
  EXPECT_TRUE(absl::IsInvalidArgument(QuantizeLinear("fc", infinite.node, FormWith({1, 0}), {}).status()));
  Dense large(1, 1, {3e38F}, {0});
  EXPECT_TRUE(absl::IsInvalidArgument(QuantizeLinear("fc", large.node, FormWith({1e10F, 0}), {}).status()));
  Dense bias(1, 1, {1}, {std::nan("")});
  EXPECT_TRUE(absl::IsInvalidArgument(QuantizeLinear("fc", bias.node, FormWith({1, 0}), {}).status()));
}

TEST(LinearNodeTest, GemmWithATransposedActivationIsNoLinearLayer) {
  GraphBuilder b;
  graph::GemmAttributes attributes;
  attributes.trans_a = true;
  b.Node(Op::kGemm, {b.Input(Shape({4, 3})), b.Weight(Shape({4, 5}))}, Shape({3, 5}), attributes);
  EXPECT_FALSE(AsLinear(b.graph(), b.graph().nodes[0]).has_value());
}

TEST(LinearNodeTest, GemmWithABiasARowIsNoLinearLayer) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({3, 4}));
  b.Node(Op::kGemm, {x, b.Weight(Shape({4, 5})), b.Weight(Shape({3, 1}))}, Shape({3, 5}), graph::GemmAttributes());
  b.Node(Op::kGemm, {x, b.Weight(Shape({4, 5})), b.Weight(Shape({1, 5}))}, Shape({3, 5}), graph::GemmAttributes());
  b.Node(Op::kGemm, {x, b.Weight(Shape({4, 5})), b.Weight(Shape({1}))}, Shape({3, 5}), graph::GemmAttributes());
  EXPECT_FALSE(AsLinear(b.graph(), b.graph().nodes[0]).has_value());
  EXPECT_TRUE(AsLinear(b.graph(), b.graph().nodes[1]).has_value());
  EXPECT_TRUE(AsLinear(b.graph(), b.graph().nodes[2]).has_value());
}

TEST(LinearNodeTest, WeightsThatAreComputedMakeNoLinearLayer) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({3, 4}));
  const ValueId w = b.Input(Shape({4, 5}));
  b.Node(Op::kMatMul, {x, w}, Shape({3, 5}));
  b.Node(Op::kMatMul, {b.Weight(Shape({3, 4})), w}, Shape({3, 5}));
  EXPECT_FALSE(AsLinear(b.graph(), b.graph().nodes[0]).has_value());
  EXPECT_FALSE(AsLinear(b.graph(), b.graph().nodes[1]).has_value());
}

// A layer of two groups with a factor, a bias, scales of the input's channels and rounding: all that a channel can
// have.
struct LargeLayer {
  static constexpr size_t kIn = 1111;  // of a group
  static constexpr size_t kOut = 1000;
  LargeLayer() : dense(2 * kIn, 2 * kOut, std::vector<float>(2 * kOut * kIn), std::vector<double>(2 * kOut)) {
    std::mt19937 generator(5);
    std::normal_distribution<float> normal;
    for (float& w : dense.weights) {
      w = normal(generator);
    }
    for (size_t c = 0; c < 2 * kOut; ++c) {
      dense.node.factor[c] = static_cast<double>(normal(generator));
      dense.node.bias[c] = static_cast<double>(normal(generator));
    }
    for (size_t i = 0; i < dense.weights.size(); ++i) {
      rounding.push_back(static_cast<int8_t>(static_cast<int>(generator() % 3) - 1));
    }
    std::vector<float> scales(2 * kIn);
    for (float& scale : scales) {
      scale = std::abs(normal(generator)) + 0.01F;
    }
    input = FormWith({0.05F, 17}, std::move(scales));
    dense.node.geometry.group = 2;
    dense.node.per_channel = dense.node.channel_stride = kIn;
    dense.node.rounding = rounding;
  }
  Dense dense;
  std::vector<int8_t> rounding;
  ByteTensor input;
};

void ExpectSame(const LinearLayer& actual, const LinearLayer& expected) {
  EXPECT_EQ(actual.weights, expected.weights);
  EXPECT_EQ(actual.multiplier, expected.multiplier);
  EXPECT_EQ(actual.bias, expected.bias);
  EXPECT_EQ(actual.lo, expected.lo);
  EXPECT_EQ(actual.hi, expected.hi);
  EXPECT_EQ(actual.ring, expected.ring);
}

TEST(LinearNodeTest, ThreadsAndInstructionSetsGiveTheSameLayer) {
  const LargeLayer large;
  const auto expected = QuantizeLinear("fc", large.dense.node, large.input, BytesOf({0.25F, 3}));
  ASSERT_TRUE(expected.ok()) << expected.status();
  for (const kernels::ring::Isa isa : {kernels::ring::Isa::kPortable, kernels::ring::BestIsa()}) {
    for (const int num_threads : {1, 2, 3}) {
      const auto layer = QuantizeLinear("fc", large.dense.node, large.input, BytesOf({0.25F, 3}),
                                        {.isa = isa, .num_threads = num_threads});
      ASSERT_TRUE(layer.ok()) << layer.status();
      ExpectSame(*layer, *expected);
    }
  }
}

TEST(LinearNodeTest, WeightsThatLieByInputGiveTheSameLayer) {
  LargeLayer large;
  const auto expected = QuantizeLinear("fc", large.dense.node, large.input, {});
  ASSERT_TRUE(expected.ok()) << expected.status();
  constexpr size_t kChannels = 2 * LargeLayer::kOut;
  std::vector<float> by_input(large.dense.weights.size());
  for (size_t c = 0; c < kChannels; ++c) {
    for (size_t i = 0; i < LargeLayer::kIn; ++i) {
      by_input[i * kChannels + c] = large.dense.weights[c * LargeLayer::kIn + i];
    }
  }
  large.dense.node.weights = by_input.data();
  large.dense.node.channel_stride = 1;
  large.dense.node.element_stride = kChannels;
  for (const int num_threads : {1, 3}) {
    const auto layer = QuantizeLinear("fc", large.dense.node, large.input, {}, {.num_threads = num_threads});
    ASSERT_TRUE(layer.ok()) << layer.status();
    ExpectSame(*layer, *expected);
  }
}

TEST(LinearNodeTest, ALayerIsRefusedWhicheverThreadMeetsTheWeightThatIsNotFinite) {
  for (const size_t at : {size_t{0}, size_t{2} * LargeLayer::kOut * LargeLayer::kIn - 1}) {
    LargeLayer large;
    large.dense.weights[at] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(
        absl::IsInvalidArgument(QuantizeLinear("fc", large.dense.node, large.input, {}, {.num_threads = 3}).status()));
  }
}

}  // namespace
}  // namespace shoji::quantization
