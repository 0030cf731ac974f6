// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/separator.h"

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
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Two branches of two nodes each, which `join` adds up, one after the other in the file; `late` reads the input.
Graph TwoBranches() {
  OnnxBuilder builder;
  builder.Input("x", {1, 4}).Node("Relu", {"x"}, {"a"}).Node("Sigmoid", {"a"}, {"b1"}).Node("Relu", {"b1"}, {"b2"});
  builder.Node("Tanh", {"a"}, {"c1"}).Node("Relu", {"c1"}, {"c2"}).Node("Add", {"b2", "c2"}, {"join"});
  return ImportOnnx(builder.Node("Relu", {"join"}, {"y"}).Output("y").Build()).value();
}

class SeparatorTest : public ::testing::Test {
 protected:
  std::vector<size_t> Set(const std::vector<std::string>& names) const {
    std::vector<size_t> set;
    for (const std::string& name : names) {
      set.push_back(FindNode(graph_, name).value());
    }
    return set;
  }
  std::vector<std::string> Before(const std::vector<std::string>& set, CutSide side) const {
    const std::vector<bool> before = NodesBefore(graph_, Set(set), side);
    std::vector<std::string> names;
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i]) {
        names.push_back(graph_.nodes[i].name);
      }
    }
    return names;
  }

  const Graph graph_ = TwoBranches();
};

TEST_F(SeparatorTest, ACutInFrontOfASetLeavesBehindItWhatDependsOnTheSet) {
  EXPECT_THAT(Before({"b2", "c1"}, CutSide::kBehind), ElementsAre("a", "b1"));
  EXPECT_THAT(Before({"b1", "c2"}, CutSide::kBehind), ElementsAre("a", "c1"));
  EXPECT_THAT(Before({"join"}, CutSide::kBehind), ElementsAre("a", "b1", "b2", "c1", "c2"));
  EXPECT_THAT(Before({"a"}, CutSide::kBehind), IsEmpty());
}

TEST_F(SeparatorTest, ACutBehindASetLeavesBeforeItWhatTheSetDependsOn) {
  EXPECT_THAT(Before({"b1", "c2"}, CutSide::kBefore), ElementsAre("a", "b1", "c1", "c2"));
  EXPECT_THAT(Before({"a"}, CutSide::kBefore), ElementsAre("a"));
  EXPECT_THAT(Before({"y"}, CutSide::kBefore).size(), ::testing::Eq(graph_.nodes.size()));
}

TEST_F(SeparatorTest, ASetOnEveryPathSeparates) {
  for (const std::vector<std::string>& set :
       std::vector<std::vector<std::string>>{{"a"}, {"b1", "c2"}, {"b2", "c1"}, {"join"}, {"y"}, {"b1", "join"}}) {
    EXPECT_TRUE(CheckSeparates(graph_, Set(set)).ok()) << set[0];
  }
}

TEST_F(SeparatorTest, ASetWithAWayRoundDoesNotAndTheWayIsNamed) {
  const absl::Status status = CheckSeparates(graph_, Set({"b1"}));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr("does not separate the model's input from its output: `a`, `c1`, `c2`, `join`, `y` lead round"));
}

TEST_F(SeparatorTest, ALongWayRoundIsShortened) {
  OnnxBuilder builder;
  builder.Input("x", {1, 4}).Node("Relu", {"x"}, {"other"});
  std::string last = "x";
  for (int i = 0; i < 20; ++i) {
    const std::string next = "n" + std::to_string(i);
    builder.Node("Relu", {last}, {next});
    last = next;
  }
  const Graph graph = ImportOnnx(builder.Node("Add", {last, "other"}, {"y"}).Output("y").Build()).value();
  EXPECT_THAT(std::string(CheckSeparates(graph, {FindNode(graph, "other").value()}).message()),
              HasSubstr("`n0`, `n1`, `n2`, `n3`, ..., `n17`, `n18`, `n19`, `y` lead round"));
}

TEST_F(SeparatorTest, AResidualEdgeIsAWayRoundUnlessTheAddIsInTheSet) {
  const Graph net = ImportOnnx(shoji::testing::SmallResNet()).value();
  const size_t conv = FindNode(net, "block1_conv1").value();
  const size_t add = FindNode(net, "block1_add").value();
  EXPECT_FALSE(CheckSeparates(net, {conv}).ok());
  EXPECT_TRUE(CheckSeparates(net, {conv, add}).ok());
}

TEST_F(SeparatorTest, ArrangingKeepsTheOrderWithinARankAndWhatFoldedNodesPointTo) {
  Graph graph = graph_;
  graph.folded = {{"before c1", FindNode(graph_, "c1").value()}, {"at the end", graph.nodes.size()}};
  // a c1 c2 | b1 b2 join y
  const Graph arranged = ArrangeByRank(graph, {0, 1, 1, 0, 0, 1, 1});
  std::vector<std::string> names;
  for (const Node& node : arranged.nodes) {
    names.push_back(node.name);
  }
  EXPECT_THAT(names, ElementsAre("a", "c1", "c2", "b1", "b2", "join", "y"));
  EXPECT_EQ(FindNode(arranged, "before c1").value(), 1U);
  EXPECT_EQ(FindNode(arranged, "at the end").value(), 7U);
  // The first part of it is a cut as any other.
  const Graph part = Cut(arranged, 0, 3);
  ASSERT_EQ(part.outputs.size(), 2U);
  EXPECT_EQ(part.values[part.outputs[0]].name, "a");
  EXPECT_EQ(part.values[part.outputs[1]].name, "c2");
}

}  // namespace
}  // namespace shoji::graph
