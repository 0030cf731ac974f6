// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/exposure.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/support/onnx_builder.h"

namespace shoji::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SegmentPolicy From(const std::string& node, Placement place) {
  SegmentPolicy segment;
  if (node != "input") {
    segment.start.kind = StartPoint::Kind::kAt;
    segment.start.node = node;
  }
  segment.place = place;
  return segment;
}

std::vector<std::string> Unopened(const graph::Graph& graph, const std::vector<SegmentPolicy>& segments) {
  PartitionPolicy policy;
  policy.model = "m";
  policy.segments = segments;
  const auto plan = Resolve(policy, graph, {{.name = "gpu0", .operator_name = "alice"}});
  EXPECT_TRUE(plan.ok()) << plan.status();
  std::vector<std::string> names;
  for (const size_t node : NodesBeforeWhichNothingIsOpened(graph, *plan)) {
    names.push_back(graph.nodes[node].name);
  }
  return names;
}

graph::Graph ResNet() { return *graph::ImportOnnx(testing::SmallResNet()); }

TEST(ExposureTest, NamesWhatEveryRevealedTensorComesFromAndTheFirstOpenedNode) {
  EXPECT_THAT(Unopened(ResNet(), {From("input", Placement::kEnclave), From("block1_conv1", Placement::kOpen)}),
              ElementsAre("stem_conv", "stem_bn", "stem_relu", "block1_conv1"));
  EXPECT_THAT(Unopened(ResNet(), {From("input", Placement::kEnclave), From("fc", Placement::kVerified)}).back(), "fc");
}

TEST(ExposureTest, ACutInsideAResidualBlockShowsTheBlocksInput) {
  // The segment takes stem_relu's output for its addition: nothing of the block lies before that.
  EXPECT_THAT(Unopened(ResNet(), {From("input", Placement::kEnclave), From("block1_conv2", Placement::kOpen)}),
              ElementsAre("stem_conv", "stem_bn", "stem_relu", "block1_conv1"));
}

TEST(ExposureTest, AnEarlierBranchIsNotBeforeALaterOne) {
  testing::OnnxBuilder builder;
  builder.Input("x", {-1, 4});
  builder.Node("Relu", {"x"}, {"a0_out"}).Named("a0").Node("Abs", {"a0_out"}, {"a1_out"}).Named("a1");
  builder.Node("Neg", {"x"}, {"b_out"}).Named("b").Node("Add", {"a1_out", "b_out"}, {"y"}).Named("sum").Output("y");
  const graph::Graph graph = *graph::ImportOnnx(builder.Build());
  // It takes x itself, however deep the branch is that stands before it in the file: a0 takes no less.
  EXPECT_THAT(Unopened(graph, {From("input", Placement::kEnclave), From("b", Placement::kOpen)}), ElementsAre("a0"));
  EXPECT_THAT(Unopened(graph, {From("input", Placement::kEnclave), From("sum", Placement::kOpen)}), ElementsAre("sum"));
}

TEST(ExposureTest, EveryOpenedSegmentCounts) {
  EXPECT_THAT(Unopened(ResNet(), {From("input", Placement::kEnclave), From("stem_relu", Placement::kOpen),
                                  From("block1_conv1", Placement::kEnclave), From("fc", Placement::kOpen)}),
              ElementsAre("stem_conv", "stem_bn", "stem_relu"));
}

TEST(ExposureTest, NothingIsNamedWhereNothingIsOpened) {
  EXPECT_THAT(Unopened(ResNet(), {From("input", Placement::kEnclave)}), IsEmpty());
  EXPECT_THAT(Unopened(ResNet(), {From("input", Placement::kBlinded), From("fc", Placement::kEnclave)}), IsEmpty());
}

}  // namespace
}  // namespace shoji::partition
