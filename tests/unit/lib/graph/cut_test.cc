// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/cut.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/cost.h"
#include "lib/graph/onnx_export.h"
#include "lib/graph/onnx_import.h"
#include "tests/support/onnx_builder.h"
#include "tests/unit/lib/graph/graph_compare.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Names(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<std::string> names;
  for (const ValueId id : ids) {
    names.push_back(graph.values[id].name);
  }
  return names;
}

class CutTest : public ::testing::Test {
 protected:
  const Graph graph_ = ImportOnnx(shoji::testing::SmallResNet()).value();

  size_t At(const std::string& node) const { return FindNode(graph_, node).value(); }
};

TEST_F(CutTest, CutInsideABlockCarriesTheSkipEdge) {
  const Graph suffix = Cut(graph_, At("block1_conv2"), graph_.nodes.size());
  EXPECT_THAT(Names(suffix, suffix.inputs), ElementsAre("stem_relu_out", "block1_relu1_out"));
  const Graph prefix = Cut(graph_, 0, At("block1_conv2"));
  EXPECT_THAT(Names(prefix, prefix.outputs), ElementsAre("stem_relu_out", "block1_relu1_out"));
}

TEST_F(CutTest, MiddleSegmentPassesNothingThatItDoesNotTouch) {
  const Graph middle = Cut(graph_, At("block1_conv1"), At("block1_bn2"));
  EXPECT_THAT(Names(middle, middle.inputs), ElementsAre("stem_relu_out"));
  EXPECT_THAT(Names(middle, middle.outputs), ElementsAre("block1_conv2_out"));
}

TEST_F(CutTest, ConstantsAreSharedAndNeverInputs) {
  const Graph part = Cut(graph_, At("fc"), graph_.nodes.size());
  EXPECT_THAT(Names(part, part.inputs), ElementsAre("flatten_out"));
  const ValueId whole = graph_.nodes[At("fc")].inputs[1];
  EXPECT_EQ(part.values[part.nodes[0].inputs[1]].constant, graph_.values[whole].constant);
}

TEST_F(CutTest, EveryPairOfPositionsRoundTripsThroughOnnx) {
  for (size_t first = 0; first < graph_.nodes.size(); ++first) {
    for (size_t end = first + 1; end <= graph_.nodes.size(); ++end) {
      const Graph part = Cut(graph_, first, end);
      const absl::StatusOr<Bytes> file = ExportOnnx(part);
      ASSERT_TRUE(file.ok()) << file.status();
      const absl::StatusOr<Graph> again = ImportOnnx(*file);
      ASSERT_TRUE(again.ok()) << again.status();
      ExpectSameGraph(part, *again);
    }
  }
}

// They are given back to the system piece by piece as they are written, unless they are another's.
TEST(ExportTest, LargeWeightsAreWrittenWholeAndThoseThatOthersHoldStay) {
  constexpr int64_t kColumns = int64_t{3} << 20;
  Tensor weights(DataType::kFloat32, Shape({1, kColumns}));
  std::span<float> values = weights.mutable_values<float>();
  std::iota(values.begin(), values.end(), 1.0F);
  Graph graph;
  graph.values.push_back({"x", DataType::kFloat32, Shape({1, 1}), nullptr});
  graph.values.push_back({"w", DataType::kFloat32, weights.shape(), nullptr});
  graph.values.push_back({"y", DataType::kFloat32, weights.shape(), nullptr});
  graph.values[1].constant = std::make_shared<const Tensor>(std::move(weights));
  graph.inputs = {0};
  graph.outputs = {2};
  Node& node = graph.nodes.emplace_back();
  node.name = "fc";
  node.op = Op::kMatMul;
  node.inputs = {0, 1};
  node.outputs = {2};
  const absl::StatusOr<Bytes> shared = ExportOnnx(graph);
  ASSERT_TRUE(shared.ok()) << shared.status();
  const std::span<const float> held = graph.values[1].constant->values<float>();
  EXPECT_EQ(held[held.size() / 2], static_cast<float>(held.size() / 2 + 1));
  const Graph again = ImportOnnx(*shared).value();
  const std::span<const float> read = again.values[again.nodes[0].inputs[1]].constant->values<float>();
  EXPECT_TRUE(std::equal(held.begin(), held.end(), read.begin(), read.end()));
  const absl::StatusOr<Bytes> own = ExportOnnx(std::move(graph));
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_TRUE(*own == *shared);
}

TEST_F(CutTest, UnknownNodeSuggestsNearNames) {
  const absl::StatusOr<size_t> found = FindNode(graph_, "block1_conv3");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(found.status().message()),
              HasSubstr("the model has no node `block1_conv3` (did you mean block1_conv1, block1_conv2"));
}

TEST_F(CutTest, CostCountsMultiplicationsAndSharedWeightsOnce) {
  const Cost stem = CostOf(graph_, 0, 1);
  EXPECT_EQ(stem.macs, 8U * 8 * 4 * 3 * 9);
  EXPECT_EQ(stem.parameters, 4U * 3 * 9);
  EXPECT_EQ(stem.parameter_bytes, 4U * 4 * 3 * 9);
  EXPECT_EQ(CostOf(graph_, At("fc"), graph_.nodes.size()).macs, 16U);
}

TEST_F(CutTest, OperationsCountEveryNode) {
  EXPECT_EQ(CostOf(graph_, 0, 1).operations, CostOf(graph_, 0, 1).macs);
  const Cost relu = CostOf(graph_, At("stem_relu"), At("stem_relu") + 1);
  EXPECT_EQ(relu.macs, 0U);
  EXPECT_EQ(relu.operations, 8U * 8 * 4);
  EXPECT_EQ(CostOf(graph_, At("pool"), At("pool") + 1).operations, 8U * 8 * 4);
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    EXPECT_GT(CostOf(graph_, i, i + 1).operations, 0U) << graph_.nodes[i].name;
  }
}

TEST(CostTest, PoolingCountsItsWindowsAndReductionsWhatTheySum) {
  const absl::StatusOr<Graph> graph = ImportOnnx(OnnxBuilder()
                                                     .Input("x", {1, 2, 8, 8})
                                                     .Node("MaxPool", {"x"}, {"m"})
                                                     .Attribute("kernel_shape", std::vector<int64_t>{3, 5})
                                                     .Node("ReduceMean", {"m"}, {"y"})
                                                     .Output("y")
                                                     .Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(CostOf(*graph, 0, 1).operations, 2U * 6 * 4 * 3 * 5);
  EXPECT_EQ(CostOf(*graph, 1, 2).operations, 2U * 6 * 4);
  EXPECT_EQ(CostOf(*graph, 0, 2).macs, 0U);
}

TEST_F(CutTest, TakingAPartLeavesItsWeightsToItAlone) {
  Graph graph = graph_;
  const size_t half = graph.nodes.size() / 2;
  const ValueId weight = graph.nodes[0].inputs[1];
  ASSERT_NE(graph.values[weight].constant, nullptr);
  ExpectSameGraph(TakeCut(graph, 0, half), Cut(graph_, 0, half));
  EXPECT_EQ(graph.values[weight].constant, nullptr);
  ExpectSameGraph(TakeCut(graph, half, graph.nodes.size()), Cut(graph_, half, graph_.nodes.size()));
}

}  // namespace
}  // namespace shoji::graph
