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
