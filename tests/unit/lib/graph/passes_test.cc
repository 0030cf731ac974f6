// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/passes.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/cut.h"
#include "lib/graph/onnx_import.h"
#include "tests/support/onnx_builder.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::ElementsAre;

// scale / sqrt(variance + epsilon) is 2 and 0.5 with these, and the means and biases are small whole numbers.
OnnxBuilder& AddBatchNorm(OnnxBuilder& builder, const std::string& input) {
  builder.Weight("scale", {2}, {4, 1}).Weight("bias", {2}, {1, -1}).Weight("mean", {2}, {3, 2});
  builder.Weight("variance", {2}, {3.5F, 3.5F});
  builder.Node("BatchNormalization", {input, "scale", "bias", "mean", "variance"}, {"y"}).Named("bn");
  return builder.Attribute("epsilon", 0.5F).Output("y");
}

std::vector<float> ConstantOf(const Graph& graph, ValueId id) {
  const std::span<const float> values = graph.values[id].constant->values<float>();
  return {values.begin(), values.end()};
}

TEST(PassesTest, BatchNormFoldsIntoAConvWithoutBias) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {2, 1, 1, 2}, {1, 2, 3, 4}).Node("Conv", {"x", "w"}, {"c"});
  Graph graph = ImportOnnx(AddBatchNorm(builder, "c").Build()).value();
  Optimize(graph);
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_EQ(graph.values[graph.nodes[0].outputs[0]].name, "y");
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[1]), ElementsAre(2, 4, 1.5F, 2));
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[2]), ElementsAre(1 - 3 * 2, -1 - 2 * 0.5F));
  EXPECT_EQ(FindNode(graph, "bn").value(), 1U);
}

TEST(PassesTest, BatchNormFoldsIntoAConvBias) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {2, 1, 1, 2}).Weight("b", {2}, {10, 20});
  builder.Node("Conv", {"x", "w", "b"}, {"c"});
  Graph graph = ImportOnnx(AddBatchNorm(builder, "c").Build()).value();
  Optimize(graph);
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[2]), ElementsAre(20 - 5, 10 - 2));
}

TEST(PassesTest, BatchNormFoldsIntoGemmOfEitherLayout) {
  for (const int64_t transposed : {0, 1}) {
    OnnxBuilder builder;
    builder.Input("x", {1, 2}).Weight("w", {2, 2}, {1, 2, 3, 4}).Weight("b", {1, 2}, {10, 20});
    builder.Node("Gemm", {"x", "w", "b"}, {"c"}).Attribute("transB", transposed).Attribute("beta", 2.0F);
    Graph graph = ImportOnnx(AddBatchNorm(builder, "c").Build()).value();
    Optimize(graph);
    ASSERT_EQ(graph.nodes.size(), 1U);
    EXPECT_EQ(std::get<GemmAttributes>(graph.nodes[0].attributes).beta, 1.0F);
    EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[1]),
                transposed == 1 ? ElementsAre(2.0F, 4.0F, 1.5F, 2.0F) : ElementsAre(2.0F, 1.0F, 6.0F, 2.0F));
    EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[2]), ElementsAre(40 - 5, 20 - 2));
  }
}

TEST(PassesTest, FoldChangesNoValueThatItLeaves) {
  // A factor behind an activation: moved before it, the convolution's output would hold half of what was observed.
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {2, 1, 1, 2}, {1, 2, 3, 4}).Weight("half", {1}, {0.5F});
  builder.Node("Conv", {"x", "w"}, {"c"}).Node("Relu", {"c"}, {"r"}).Node("Mul", {"r", "half"}, {"y"}).Output("y");
  Graph graph = ImportOnnx(builder.Build()).value();
  Fold(graph);
  ASSERT_EQ(graph.nodes.size(), 3U);
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[1]), ElementsAre(1, 2, 3, 4));
  Optimize(graph);
  ASSERT_EQ(graph.nodes.size(), 2U);
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[1]), ElementsAre(0.5F, 1, 1.5F, 2));
}

TEST(PassesTest, BatchNormStaysWhereItsInputGoesElsewhereToo) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {2, 1, 1, 2}).Node("Conv", {"x", "w"}, {"c"}).Output("c");
  Graph graph = ImportOnnx(AddBatchNorm(builder, "c").Build()).value();
  Optimize(graph);
  EXPECT_EQ(graph.nodes.size(), 2U);
}

TEST(PassesTest, BatchNormWithoutALinearLayerBeforeItStays) {
  OnnxBuilder builder;
  builder.Input("x", {1, 2, 3, 3});
  Graph graph = ImportOnnx(AddBatchNorm(builder, "x").Build()).value();
  Optimize(graph);
  EXPECT_EQ(graph.nodes.size(), 1U);
}

TEST(PassesTest, SharedWeightsAreNotChangedForOthers) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {2, 1, 1, 2}, {1, 2, 3, 4}).Node("Conv", {"x", "w"}, {"c"});
  builder.Node("Conv", {"x", "w"}, {"other"}).Output("other");
  Graph graph = ImportOnnx(AddBatchNorm(builder, "c").Build()).value();
  Optimize(graph);
  const Node& other = graph.nodes[FindNode(graph, "other").value()];
  EXPECT_THAT(ConstantOf(graph, other.inputs[1]), ElementsAre(1, 2, 3, 4));
}

TEST(PassesTest, ConstantsAChannelFoldIntoTheLayerBeforeThem) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {2, 1, 1, 2}, {1, 2, 3, 4}).Weight("b", {2}, {10, 20});
  builder.Weight("factor", {2, 1, 1}, {2, 4}).Weight("one", {1}, {1}).Weight("half", {}, {0.5F});
  builder.Node("Conv", {"x", "w", "b"}, {"c"}).Node("Mul", {"factor", "c"}, {"m"}).Node("Sub", {"one", "m"}, {"s"});
  builder.Node("Div", {"s", "half"}, {"y"}).Output("y");
  Graph graph = ImportOnnx(builder.Build()).value();
  Optimize(graph);
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_EQ(graph.values[graph.nodes[0].outputs[0]].name, "y");
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[1]), ElementsAre(-4, -8, -24, -32));
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[2]), ElementsAre(2 * (1 - 20), 2 * (1 - 80)));
}

TEST(PassesTest, ConstantsThatDifferWithinAChannelStay) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {2, 1, 1, 1}).Weight("columns", {2}, {1, 2});
  builder.Node("Conv", {"x", "w"}, {"c"}).Node("Mul", {"c", "columns"}, {"y"}).Output("y");
  Graph graph = ImportOnnx(builder.Build()).value();
  Optimize(graph);
  EXPECT_EQ(graph.nodes.size(), 2U);
}

TEST(PassesTest, DivisionByZeroIsNotFolded) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {2, 1, 1, 1}).Weight("zero", {1}, {0});
  builder.Node("Conv", {"x", "w"}, {"c"}).Node("Div", {"c", "zero"}, {"y"}).Output("y");
  Graph graph = ImportOnnx(builder.Build()).value();
  Optimize(graph);
  EXPECT_EQ(graph.nodes.size(), 2U);
}

// factor * Clip(Conv(x), 0, 6)
Graph ScaledClip(const std::vector<float>& factor) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 1, 1}).Weight("w", {2, 1, 1, 1}, {6, 12}).Weight("b", {2}, {3, 18});
  builder.Weight("low", {}, {0}).Weight("high", {}, {6});
  builder.Weight("factor", {static_cast<int64_t>(factor.size()), 1, 1}, factor);
  builder.Node("Conv", {"x", "w", "b"}, {"c"}).Node("Clip", {"c", "low", "high"}, {"k"});
  builder.Node("Mul", {"k", "factor"}, {"y"}).Output("y");
  Graph graph = ImportOnnx(builder.Build()).value();
  Optimize(graph);
  return graph;
}

TEST(PassesTest, FactorAfterAClipIsAppliedBeforeIt) {
  const Graph graph = ScaledClip({0.5F});
  ASSERT_EQ(graph.nodes.size(), 2U);
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[1]), ElementsAre(3, 6));
  EXPECT_THAT(ConstantOf(graph, graph.nodes[0].inputs[2]), ElementsAre(1.5F, 9));
  EXPECT_EQ(std::get<FloatAttributes>(graph.nodes[1].attributes), (FloatAttributes{0, 3}));
  EXPECT_EQ(graph.values[graph.nodes[1].outputs[0]].name, "y");
}

TEST(PassesTest, FactorsThatWouldChangeTheClipStay) {
  EXPECT_EQ(ScaledClip({-1}).nodes.size(), 3U);
  EXPECT_EQ(ScaledClip({1, 2}).nodes.size(), 3U);
}

// A Pad of `value` on all sides, then a 3x3 Conv with padding of its own.
Graph PaddedConv(float value, bool is_output) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 4, 4}).Weight("w", {1, 1, 3, 3}).Weight("v", {}, {value});
  builder.Ints("border", {0, 0, 1, 0, 0, 0, 0, 1});
  builder.Node("Pad", {"x", "border", "v"}, {"p"}).Node("Conv", {"p", "w"}, {"y"});
  builder.Attribute("pads", std::vector<int64_t>{0, 1, 1, 1}).Output("y");
  if (is_output) {
    builder.Output("p");
  }
  Graph graph = ImportOnnx(builder.Build()).value();
  Optimize(graph);
  return graph;
}

TEST(PassesTest, ZerosAroundAnImageBecomeTheConvolutionsPadding) {
  const Graph graph = PaddedConv(0, false);
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_EQ(std::get<ConvAttributes>(graph.nodes[0].attributes).pads, (std::array<int64_t, 4>{1, 1, 1, 2}));
  EXPECT_EQ(graph.nodes[0].inputs[0], graph.inputs[0]);
}

TEST(PassesTest, PadsOfOtherValuesOrThatOthersReadStay) {
  EXPECT_EQ(PaddedConv(1, false).nodes.size(), 2U);
  EXPECT_EQ(PaddedConv(0, true).nodes.size(), 2U);
}

TEST(PassesTest, DeadCodeGoesWithItsValues) {
  Graph graph = ImportOnnx(shoji::testing::SmallResNet()).value();
  graph.outputs = {graph.nodes[FindNode(graph, "stem_relu").value()].outputs[0]};
  RemoveDeadCode(graph);
  EXPECT_EQ(graph.nodes.size(), 3U);
  EXPECT_EQ(graph.values.size(), 1U + 1 + 4 + 3);
  EXPECT_EQ(FindNode(graph, "fc").value(), 3U);
}

}  // namespace
}  // namespace shoji::graph
