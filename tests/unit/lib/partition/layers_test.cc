// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/layers.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "lib/partition/plan.h"
#include "tests/support/onnx_builder.h"

namespace shoji::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LayersTest : public ::testing::Test {
 protected:
  std::vector<std::string> LayerNames() const {
    std::vector<std::string> names;
    for (const size_t i : LayersOf(graph_)) {
      names.push_back(graph_.nodes[i].name);
    }
    return names;
  }

  graph::Graph graph_ = graph::ImportOnnx(shoji::testing::SmallResNet()).value();
};

TEST_F(LayersTest, LayersAreTheNodesWithWeights) {
  EXPECT_THAT(LayerNames(), ElementsAre("stem_conv", "block1_conv1", "block1_conv2", "fc"));
}

TEST_F(LayersTest, AProductOfTwoActivationsIsNone) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("x", {1, 4}).Weight("w", {4, 4}).Node("MatMul", {"x", "w"}, {"a"});
  builder.Node("Transpose", {"a"}, {"t"}).Node("MatMul", {"a", "t"}, {"y"}).Output("y");
  graph_ = graph::ImportOnnx(builder.Build()).value();
  EXPECT_THAT(LayerNames(), ElementsAre("a"));
}

TEST_F(LayersTest, ANodeOfTheFileThatBecameSeveralCountsOnceFromItsFirst) {
  graph_.nodes[LayersOf(graph_)[1]].step_of = "both";
  graph_.nodes[LayersOf(graph_)[2]].step_of = "both";
  EXPECT_THAT(LayerNames(), ElementsAre("stem_conv", "block1_conv1", "fc"));
  EXPECT_EQ(graph_.nodes[FirstOfLastLayers(graph_, 2).value()].name, "block1_conv1");
}

TEST_F(LayersTest, TheLastLayersStartAtOneOfThem) {
  EXPECT_EQ(graph_.nodes[FirstOfLastLayers(graph_, 1).value()].name, "fc");
  EXPECT_EQ(graph_.nodes[FirstOfLastLayers(graph_, 2).value()].name, "block1_conv2");
  EXPECT_EQ(FirstOfLastLayers(graph_, 4).value(), 0U);
}

TEST_F(LayersTest, MoreThanThereAreAreRefused) {
  for (const int64_t count : {int64_t{0}, int64_t{-1}, int64_t{5}}) {
    const absl::StatusOr<size_t> first = FirstOfLastLayers(graph_, count);
    EXPECT_EQ(first.status().code(), absl::StatusCode::kInvalidArgument) << count;
    EXPECT_THAT(std::string(first.status().message()), HasSubstr("the model has 4 layers with weights"));
  }
  EXPECT_FALSE(LastLayersPolicy("m", graph_, 5).ok());
}

TEST_F(LayersTest, TheirPolicyOpensTheOthersAndKeepsThemConfidential) {
  const PartitionPolicy policy = LastLayersPolicy("m", graph_, 2).value();
  EXPECT_EQ(policy.model, "m");
  ASSERT_EQ(policy.segments.size(), 2U);
  EXPECT_EQ(policy.segments[0].place, Placement::kOpen);
  EXPECT_EQ(policy.segments[1].place, Placement::kEnclave);
  EXPECT_TRUE(policy.segments[1].confidential);
  EXPECT_EQ(policy.segments[1].start.ordinal, (NodeOrdinal{"", -2}));
}

TEST_F(LayersTest, OfAllLayersItMakesOneSegment) {
  const PartitionPolicy policy = LastLayersPolicy("m", graph_, 4).value();
  ASSERT_EQ(policy.segments.size(), 1U);
  EXPECT_EQ(policy.segments[0].place, Placement::kEnclave);
  EXPECT_TRUE(policy.segments[0].confidential);
}

}  // namespace
}  // namespace shoji::partition
