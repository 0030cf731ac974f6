// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/start.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "lib/partition/plan.h"
#include "tests/support/onnx_builder.h"

namespace shoji::partition {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Kind = StartPoint::Kind;

StartPoint Nth(Kind kind, const std::string& op_type, int64_t number) {
  StartPoint start;
  start.kind = kind;
  start.ordinal = NodeOrdinal{op_type, number};
  return start;
}

StartPoint Set(Kind kind, std::vector<std::string> names) {
  StartPoint start;
  start.kind = kind;
  start.set = std::move(names);
  return start;
}

PartitionPolicy CutAt(const std::vector<StartPoint>& starts) {
  PartitionPolicy policy;
  policy.model = "m";
  policy.segments.emplace_back();
  for (const StartPoint& start : starts) {
    policy.segments.emplace_back().start = start;
  }
  return policy;
}

class StartTest : public ::testing::Test {
 protected:
  // The names of the nodes of each segment, in the order in which they run.
  std::vector<std::vector<std::string>> Segments(const std::vector<StartPoint>& starts) const {
    const PartitionPolicy policy = CutAt(starts);
    const absl::StatusOr<graph::Graph> arranged = ArrangeFor(policy, graph_);
    EXPECT_TRUE(arranged.ok()) << arranged.status();
    const absl::StatusOr<ResolvedPlan> plan = Resolve(policy, *arranged, {});
    EXPECT_TRUE(plan.ok()) << plan.status();
    std::vector<std::vector<std::string>> out;
    for (const Segment& segment : plan->segments) {
      out.emplace_back();
      for (size_t i = segment.first_node; i < segment.end_node; ++i) {
        out.back().push_back(arranged->nodes[i].name);
      }
    }
    return out;
  }
  // The first node behind a cut at `start`.
  std::string FirstBehind(const StartPoint& start) const { return Segments({start}).at(1).at(0); }

  void ExpectRefused(const std::vector<StartPoint>& starts, absl::StatusCode code, const std::string& text) const {
    const absl::StatusOr<std::vector<size_t>> segments = SegmentOfEachNode(CutAt(starts), graph_);
    EXPECT_EQ(segments.status().code(), code) << segments.status();
    EXPECT_THAT(std::string(segments.status().message()), HasSubstr(text));
  }

  graph::Graph graph_ = graph::ImportOnnx(shoji::testing::SmallResNet()).value();
};

TEST_F(StartTest, OrdinalsCountNodesOfATypeFromEitherEnd) {
  EXPECT_EQ(FirstBehind(Nth(Kind::kAt, "Conv", 2)), "block1_conv1");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAfter, "Conv", 2)), "block1_bn1");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAt, "Conv", -1)), "block1_conv2");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAfter, "Relu", 1)), "block1_conv1");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAfter, "Add", -1)), "block1_relu2");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAt, "Flatten", 1)), "flatten");
}

TEST_F(StartTest, LayersCountWhateverHasWeights) {
  EXPECT_EQ(FirstBehind(Nth(Kind::kAt, "", 3)), "block1_conv2");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAt, "", -1)), "fc");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAfter, "", 1)), "stem_bn");
}

TEST_F(StartTest, ANodeThatBecameSeveralCountsOnceAndIsCutAtItsEnds) {
  for (const size_t i : {size_t{1}, size_t{2}, size_t{3}}) {
    graph_.nodes[i].op_type = "Conv";
    graph_.nodes[i].step_of = "block1_conv1";
  }
  ASSERT_EQ(graph_.nodes[3].name, "block1_conv1");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAt, "Conv", 2)), "stem_bn");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAfter, "Conv", 2)), "block1_bn1");
  EXPECT_EQ(FirstBehind(Nth(Kind::kAt, "Conv", 3)), "block1_conv2");
  EXPECT_EQ(FirstBehind(Set(Kind::kAt, {"block1_conv1", "block1_add"})), "stem_bn");
}

TEST_F(StartTest, TooFewOfATypeAreSaidWithTheirNumber) {
  constexpr absl::StatusCode kCode = absl::StatusCode::kNotFound;
  ExpectRefused({Nth(Kind::kAfter, "Conv", 4)}, kCode, "segment 2 (after Conv 4): the model has 3 nodes of type Conv");
  ExpectRefused({Nth(Kind::kAt, "Conv", -4)}, kCode,
                "segment 2 (from Conv 4 from the end): the model has 3 nodes of type Conv");
  ExpectRefused({Nth(Kind::kAt, "", -5)}, kCode, "(from layer 5 from the end): the model has 4 layers with weights");
  ExpectRefused({Nth(Kind::kAt, "", 0)}, kCode, "the model has 4 layers");
}

TEST_F(StartTest, AnUnknownTypeSuggestsNearOnes) {
  ExpectRefused({Nth(Kind::kAt, "conv", -1)}, absl::StatusCode::kNotFound,
                "segment 2 (from the last conv): the model has 0 nodes of type conv (did you mean Conv");
}

TEST_F(StartTest, OrdinalsPromiseWhatTheNamesTheyMeanPromise) {
  PartitionPolicy named = CutAt({{Kind::kAt, "fc"}});
  EXPECT_EQ(Resolve(named, graph_, {}).value().digest,
            Resolve(CutAt({Nth(Kind::kAt, "", -1)}), graph_, {}).value().digest);
}

// Two branches from `a` to `join`, one after the other in the file.
class BranchesTest : public StartTest {
 protected:
  BranchesTest() {
    OnnxBuilder builder;
    builder.Input("x", {1, 4}).Node("Relu", {"x"}, {"a"}).Node("Sigmoid", {"a"}, {"b1"}).Node("Relu", {"b1"}, {"b2"});
    builder.Node("Tanh", {"a"}, {"c1"}).Node("Relu", {"c1"}, {"c2"}).Node("Add", {"b2", "c2"}, {"join"});
    graph_ = graph::ImportOnnx(builder.Output("join").Build()).value();
  }
};

TEST_F(BranchesTest, ASetCutsBranchesWhereverItSays) {
  EXPECT_THAT(Segments({Set(Kind::kAt, {"b2", "c1"})}),
              ElementsAre(ElementsAre("a", "b1"), ElementsAre("b2", "c1", "c2", "join")));
  EXPECT_THAT(Segments({Set(Kind::kAfter, {"b1", "c2"})}),
              ElementsAre(ElementsAre("a", "b1", "c1", "c2"), ElementsAre("b2", "join")));
}

TEST_F(BranchesTest, EveryLiveTensorOfASetCrosses) {
  const PartitionPolicy policy = CutAt({Set(Kind::kAfter, {"b1", "c2"})});
  const ResolvedPlan plan = Resolve(policy, ArrangeFor(policy, graph_).value(), {}).value();
  ASSERT_EQ(plan.segments[1].inputs.size(), 2U);
  EXPECT_EQ(plan.segments[1].inputs[0].name, "b1");
  EXPECT_EQ(plan.segments[1].inputs[1].name, "c2");
  EXPECT_EQ(plan.segments[0].outputs.size(), 2U);
}

TEST_F(BranchesTest, SeveralSetsAndNamesFollowEachOther) {
  EXPECT_THAT(Segments({Set(Kind::kAt, {"b1", "c1"}),
                        Set(Kind::kAt, {"b2", "c1"}),
                        Set(Kind::kAt, {"b2", "c2"}),
                        {Kind::kAt, "join"}}),
              ElementsAre(ElementsAre("a"), ElementsAre("b1"), ElementsAre("c1"), ElementsAre("b2", "c2"),
                          ElementsAre("join")));
}

TEST_F(BranchesTest, SetsThatCrossAreRefused) {
  ExpectRefused({Set(Kind::kAt, {"b1", "c2"}), Set(Kind::kAt, {"b2", "c1"})}, absl::StatusCode::kInvalidArgument,
                "segment 3 (from `b2`, `c1`): starts before the segment before it; segments go in graph order (`c1` "
                "would be in both)");
}

TEST_F(BranchesTest, ASetWithAWayRoundIsRefusedAndTheWayNamed) {
  ExpectRefused({Set(Kind::kAt, {"b1"})}, absl::StatusCode::kInvalidArgument,
                "segment 2 (from `b1`): does not separate the model's input from its output: `a`, `c1`, `c2`, `join` "
                "lead round it; list a node of that path too");
}

TEST_F(BranchesTest, NodesOfASetMustBeThereOnceEach) {
  ExpectRefused({Set(Kind::kAt, {"b1", "c9"})}, absl::StatusCode::kNotFound,
                "the model has no node `c9` (did you mean");
  ExpectRefused({Set(Kind::kAt, {"b1", "c1", "b1"})}, absl::StatusCode::kInvalidArgument, "`b1` is listed twice");
  graph_.folded.push_back({"dropped", 2});
  ExpectRefused({Set(Kind::kAt, {"dropped", "c1"})}, absl::StatusCode::kInvalidArgument,
                "`dropped` is folded away at import, so a list cannot hold it; name the node that follows it");
}

TEST_F(BranchesTest, AGraphThatIsNotArrangedIsNotResolved) {
  const PartitionPolicy policy = CutAt({Set(Kind::kAt, {"b2", "c1"})});
  EXPECT_TRUE(Resolve(policy, graph_, {}).ok());  // a b1 | b2 c1 c2 join stands so in the file
  const PartitionPolicy moved = CutAt({Set(Kind::kAfter, {"b1", "c2"})});
  EXPECT_EQ(Resolve(moved, graph_, {}).status().code(), absl::StatusCode::kInternal);
}

TEST_F(BranchesTest, APolicyWithoutSetsMovesNothing) {
  const graph::Graph arranged = ArrangeFor(CutAt({{Kind::kAt, "c1"}}), graph_).value();
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    EXPECT_EQ(arranged.nodes[i].name, graph_.nodes[i].name);
  }
}

TEST_F(StartTest, APolicyForAnyModelTakesTheNameOfTheOneItIsGivenTo) {
  PartitionPolicy policy = CutAt({});
  policy.model = kAnyModel;
  EXPECT_EQ(Resolve(policy, graph_, {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Resolve(ForModel(policy, "served"), graph_, {}).value().model, "served");
  policy.model = "other";
  EXPECT_EQ(ForModel(policy, "served").model, "other");
}

}  // namespace
}  // namespace shoji::partition
