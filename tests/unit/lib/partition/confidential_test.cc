// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/confidential.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/support/onnx_builder.h"

namespace shoji::partition {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

graph::Graph ResNet() { return *graph::ImportOnnx(testing::SmallResNet()); }

SegmentPolicy From(const std::string& node, Placement place, Precision precision = Precision::kFloat32) {
  SegmentPolicy segment;
  if (node != "input") {
    segment.start.kind = StartPoint::Kind::kAt;
    segment.start.node = node;
  }
  segment.place = place;
  if (place == Placement::kEnclave) {
    segment.precision = precision;
  }
  return segment;
}

SegmentPolicy Confidential(const std::string& node, Precision precision = Precision::kFloat32) {
  SegmentPolicy segment = From(node, Placement::kEnclave, precision);
  segment.confidential = true;
  return segment;
}

absl::StatusOr<ResolvedPlan> Plan(const std::vector<SegmentPolicy>& segments, const graph::Graph& graph) {
  PartitionPolicy policy;
  policy.model = "m";
  policy.segments = segments;
  return Resolve(policy, graph, {{.name = "gpu0", .operator_name = "alice"}});
}

TEST(ConfidentialTest, ASegmentInTheEnclaveMayBeConfidentialBetweenClearOnes) {
  const graph::Graph graph = ResNet();
  const auto plan =
      Plan({From("input", Placement::kOpen), Confidential("block1_conv1"), From("pool", Placement::kOpen)}, graph);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->segments[1].confidential);
  EXPECT_FALSE(plan->segments[2].confidential);
}

TEST(ConfidentialTest, KeepingNodesMarksTheirSegmentAndChangesTheDigest) {
  const graph::Graph graph = ResNet();
  ResolvedPlan plan = *Plan({From("input", Placement::kOpen), From("fc", Placement::kEnclave)}, graph);
  const auto before = plan.digest;
  ASSERT_TRUE(KeepConfidential({"fc"}, graph, plan).ok());
  EXPECT_TRUE(plan.segments[1].confidential);
  EXPECT_FALSE(plan.segments[0].confidential);
  EXPECT_NE(plan.digest, before);
  EXPECT_EQ(plan.digest, Plan({From("input", Placement::kOpen), Confidential("fc")}, graph)->digest);
}

TEST(ConfidentialTest, ANodeInASegmentThatLeavesIsRefusedByName) {
  const graph::Graph graph = ResNet();
  for (const Placement place : {Placement::kOpen, Placement::kBlinded, Placement::kVerified}) {
    ResolvedPlan plan = *Plan({From("input", place), From("fc", Placement::kEnclave)}, graph);
    const absl::Status status = KeepConfidential({"fc", "block1_conv2"}, graph, plan);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("segment 1"), HasSubstr(NameOf(place)),
                                                     HasSubstr("keeps `block1_conv2` confidential")));
  }
}

TEST(ConfidentialTest, ANodeThatTheModelDoesNotHaveIsRefused) {
  const graph::Graph graph = ResNet();
  ResolvedPlan plan = *Plan({From("input", Placement::kEnclave)}, graph);
  const absl::Status status = KeepConfidential({"block1_conv3"}, graph, plan);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("block1_conv"));
}

// x -> a -> b, two Gemm layers that share one weight.
graph::Graph Shared(const std::vector<int64_t>& dims) {
  testing::OnnxBuilder builder;
  builder.Input("x", {-1, dims[0]}).Weight("w", dims);
  builder.Node("Mul", {"x", "w"}, {"a_out"}).Named("a");
  builder.Node("Mul", {"a_out", "w"}, {"b_out"}).Named("b").Output("b_out");
  return *graph::ImportOnnx(builder.Build());
}

TEST(ConfidentialTest, AWeightThatAnAcceleratorGetsTooIsRefusedByName) {
  const graph::Graph graph = Shared({4});
  const absl::Status status = Plan({From("input", Placement::kOpen), Confidential("b")}, graph).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("segment 1"), HasSubstr("`a` reads `w`"), HasSubstr("confidential node `b`")));
  EXPECT_TRUE(Plan({From("input", Placement::kEnclave), Confidential("b")}, graph).ok());
  EXPECT_TRUE(Plan({From("input", Placement::kOpen), From("b", Placement::kEnclave)}, graph).ok());
}

TEST(ConfidentialTest, ASharedSingleNumberIsNoWeight) {
  EXPECT_TRUE(Plan({From("input", Placement::kOpen), Confidential("b")}, Shared({1})).ok());
}

TEST(ConfidentialTest, WhatAConfidentialNodeDecidesIsHiddenHoweverFarBehind) {
  const graph::Graph graph = ResNet();
  for (const Placement place : {Placement::kOpen, Placement::kVerified}) {
    ResolvedPlan plan = *Plan(
        {From("input", Placement::kEnclave), From("block1_conv2", place), From("fc", Placement::kEnclave)}, graph);
    ASSERT_TRUE(KeepConfidential({"block1_conv1"}, graph, plan).ok());
    const absl::Status status = HideResultsOf({"block1_conv1"}, graph, plan);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("segment 2"), HasSubstr(NameOf(place)),
                                                     HasSubstr("the confidential node `block1_conv1`")));
  }
  // Masked, or computed from none of them, is hidden.
  ResolvedPlan masked = *Plan(
      {From("input", Placement::kEnclave), From("block1_conv2", Placement::kBlinded), From("fc", Placement::kEnclave)},
      graph);
  EXPECT_TRUE(HideResultsOf({"block1_conv1"}, graph, masked).ok());
  ResolvedPlan before = *Plan({From("input", Placement::kOpen), From("fc", Placement::kEnclave)}, graph);
  EXPECT_TRUE(HideResultsOf({"fc"}, graph, before).ok());
}

// How many regions the segments make, and whether the confidential one stands alone.
size_t NumRegions(const std::vector<SegmentPolicy>& segments) {
  const graph::Graph graph = ResNet();
  const auto plan = Plan(segments, graph);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return RegionsOf(*plan).size();
}

TEST(ConfidentialTest, NothingConfidentialIsCompiledWithALayerItCouldBeFoldedInto) {
  // block1_bn1 could be folded into block1_conv1, which an accelerator gets.
  EXPECT_EQ(NumRegions({From("input", Placement::kBlinded), Confidential("block1_bn1", Precision::kInt8)}), 2U);
  EXPECT_EQ(NumRegions({From("input", Placement::kBlinded), Confidential("block1_bn1", Precision::kInt8),
                        From("fc", Placement::kVerified)}),
            3U);
  // Where it is not confidential, or begins with a layer of its own, one region gives the same bits everywhere.
  EXPECT_EQ(NumRegions({From("input", Placement::kBlinded), From("block1_bn1", Placement::kEnclave, Precision::kInt8)}),
            1U);
  EXPECT_EQ(NumRegions({From("input", Placement::kBlinded), Confidential("block1_conv1", Precision::kInt8)}), 1U);
  EXPECT_EQ(NumRegions({From("input", Placement::kBlinded), Confidential("fc", Precision::kInt8)}), 1U);
}

}  // namespace
}  // namespace shoji::partition
