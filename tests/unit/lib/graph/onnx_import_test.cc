// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_import.h"

#include <onnx/onnx_pb.h>

#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/cut.h"
#include "lib/graph/onnx_export.h"
#include "tests/support/onnx_builder.h"
#include "tests/unit/lib/graph/graph_compare.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::ElementsAre;

// Imports, and checks on the way that export and import give the same graph again.
Graph MustImport(const OnnxBuilder& builder) {
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  EXPECT_TRUE(graph.ok()) << graph.status();
  if (!graph.ok()) {
    return {};
  }
  const absl::StatusOr<Bytes> exported = ExportOnnx(*graph);
  EXPECT_TRUE(exported.ok()) << exported.status();
  const absl::StatusOr<Graph> again = ImportOnnx(*exported);
  EXPECT_TRUE(again.ok()) << again.status();
  if (again.ok()) {
    ExpectSameGraph(*graph, *again);
  }
  return *graph;
}

std::vector<int64_t> OutputDims(const Graph& graph) { return graph.values[graph.outputs.at(0)].shape.dims(); }

TEST(OnnxImportTest, DynamicBatchBecomesOne) {
  OnnxBuilder builder;
  builder.Input("x", {-1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  const Graph graph = MustImport(builder);
  EXPECT_THAT(OutputDims(graph), ElementsAre(1, 3));
  EXPECT_EQ(graph.nodes.at(0).name, "y");
}

TEST(OnnxImportTest, BatchOfZeroOrMinusOneIsDynamicToo) {
  for (const int64_t batch : {int64_t{0}, int64_t{-1}}) {
    OnnxBuilder builder;
    builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
    auto* type = builder.proto().mutable_graph()->mutable_input(0)->mutable_type();
    type->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_value(batch);
    EXPECT_THAT(OutputDims(MustImport(builder)), ElementsAre(1, 3));
  }
}

TEST(OnnxImportTest, OutputsNeedNoShapeAndOldFilesNoInitializersAmongTheirInputs) {
  OnnxBuilder builder(8, 3);
  builder.Input("x", {1, 3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  builder.proto().mutable_graph()->mutable_output(0)->mutable_type()->mutable_tensor_type()->clear_shape();
  EXPECT_EQ(MustImport(builder).nodes.size(), 1U);
}

TEST(OnnxImportTest, ANewerFileThanTheLibraryKnowsIsNoted) {
  OnnxBuilder builder(20, 10);
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  ASSERT_EQ(graph->notes.size(), 1U);
  EXPECT_THAT(graph->notes[0], ::testing::HasSubstr("operator set 20"));
}

TEST(OnnxImportTest, InitializersListedAsInputsAreConstants) {
  OnnxBuilder builder(7, 3);
  builder.Input("x", {1, 3}).Input("w", {3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  const Graph graph = MustImport(builder);
  EXPECT_EQ(graph.inputs.size(), 1U);
  EXPECT_NE(graph.values[graph.nodes.at(0).inputs.at(1)].constant, nullptr);
}

TEST(OnnxImportTest, SamePaddingPutsTheOddPixelAtTheEndOrTheStart) {
  for (const bool upper : {true, false}) {
    OnnxBuilder builder(11);
    builder.Input("x", {1, 1, 7, 8}).Weight("w", {1, 1, 2, 3});
    builder.Node("Conv", {"x", "w"}, {"y"}).TextAttribute("auto_pad", upper ? "SAME_UPPER" : "SAME_LOWER");
    const Graph graph = MustImport(builder.Output("y"));
    EXPECT_THAT(OutputDims(graph), ElementsAre(1, 1, 7, 8));
    const auto& conv = std::get<ConvAttributes>(graph.nodes.at(0).attributes);
    EXPECT_THAT(conv.pads, upper ? ElementsAre(0, 1, 1, 1) : ElementsAre(1, 1, 0, 1));
  }
}

TEST(OnnxImportTest, ValidPaddingIsNone) {
  OnnxBuilder builder;
  builder.Input("x", {1, 2, 7, 7}).Weight("w", {4, 1, 3, 3});
  builder.Node("Conv", {"x", "w"}, {"y"}).TextAttribute("auto_pad", "VALID").Attribute("group", int64_t{2});
  builder.Attribute("strides", {2, 3}).Attribute("dilations", {2, 1});
  EXPECT_THAT(OutputDims(MustImport(builder.Output("y"))), ElementsAre(1, 4, 2, 2));
}

TEST(OnnxImportTest, CeilModeRoundsTheOutputUp) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 6, 6});
  builder.Node("MaxPool", {"x"}, {"y"}).Attribute("kernel_shape", {3, 3}).Attribute("strides", {2, 2});
  builder.Attribute("ceil_mode", int64_t{1}).Output("y");
  const Graph graph = MustImport(builder);
  EXPECT_THAT(OutputDims(graph), ElementsAre(1, 1, 3, 3));
  EXPECT_TRUE(std::get<PoolAttributes>(graph.nodes.at(0).attributes).ceil_mode);
}

TEST(OnnxImportTest, ClipBoundsComeFromAttributesOrInputs) {
  OnnxBuilder old(10);
  old.Input("x", {1, 3}).Node("Clip", {"x"}, {"y"}).Attribute("min", 0.0F).Attribute("max", 6.0F).Output("y");
  OnnxBuilder inputs(11);
  inputs.Input("x", {1, 3}).Weight("hi", {}, {6.0F}).Node("Clip", {"x", "", "hi"}, {"y"}).Output("y");
  EXPECT_EQ(std::get<FloatAttributes>(MustImport(old).nodes.at(0).attributes), (FloatAttributes{0.0F, 6.0F}));
  const Graph graph = MustImport(inputs);
  EXPECT_EQ(std::get<FloatAttributes>(graph.nodes.at(0).attributes),
            (FloatAttributes{std::numeric_limits<float>::lowest(), 6.0F}));
  EXPECT_EQ(graph.nodes.at(0).inputs.size(), 1U);
}

TEST(OnnxImportTest, OldSoftmaxOverOneLargeAxisIsPlain) {
  OnnxBuilder builder(7);
  builder.Input("x", {1, 10, 1, 1}).Node("Softmax", {"x"}, {"y"}).Output("y");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_EQ(std::get<AxisAttributes>(graph.nodes[0].attributes).axis, 1);
}

TEST(OnnxImportTest, OldSoftmaxOverSeveralAxesIsFlattened) {
  OnnxBuilder builder(11);
  builder.Input("x", {1, 2, 3, 4}).Node("Softmax", {"x"}, {"y"}).Named("probabilities").Output("y");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 3U);
  EXPECT_EQ(graph.nodes[0].name, "probabilities/flatten");
  EXPECT_EQ(graph.nodes[1].op, Op::kSoftmax);
  EXPECT_EQ(graph.values[graph.nodes[1].outputs[0]].shape, Shape({1, 24}));
  EXPECT_EQ(graph.nodes[2].name, "probabilities");
  EXPECT_THAT(OutputDims(graph), ElementsAre(1, 2, 3, 4));
}

TEST(OnnxImportTest, NewSoftmaxDefaultsToTheLastAxis) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2, 3, 4}).Node("Softmax", {"x"}, {"y"}).Output("y");
  EXPECT_EQ(std::get<AxisAttributes>(MustImport(builder).nodes.at(0).attributes).axis, 3);
}

TEST(OnnxImportTest, ShapeArithmeticIsFoldedAway) {
  OnnxBuilder builder(13);
  builder.Input("x", {-1, 2, 3, 4}).Ints("zero", {0}).Ints("minus_one", {-1});
  builder.Node("Shape", {"x"}, {"shape"});
  builder.Node("Gather", {"shape", "zero"}, {"batch"});
  builder.Node("Concat", {"batch", "minus_one"}, {"target"}).Attribute("axis", int64_t{0});
  builder.Node("Reshape", {"x", "target"}, {"y"}).Output("y");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_THAT(OutputDims(graph), ElementsAre(1, 24));
  EXPECT_EQ(graph.values.size(), 2U);
  ASSERT_EQ(graph.folded.size(), 3U);
  EXPECT_EQ(FindNode(graph, "batch").value(), 0U);
}

TEST(OnnxImportTest, IntegerArithmeticOnConstantsIsFolded) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 24}).Ints("two", {2}).Ints("three", {3}).Ints("many", {1, 48}).Ints("minus_one", {-1});
  builder.Ints("from", {0}).Ints("to", {1}).Ints("axes", {0});
  builder.Node("Mul", {"two", "three"}, {"six"}).Node("Sub", {"six", "two"}, {"four"});
  builder.Node("Add", {"two", "four"}, {"six_again"}).Node("Div", {"many", "six_again"}, {"zero_eight"});
  builder.Node("Add", {"zero_eight", "four"}, {"four_twelve"});
  builder.Node("Slice", {"four_twelve", "from", "to", "axes"}, {"only_four"});
  builder.Node("Concat", {"only_four", "minus_one"}, {"cut"}).Attribute("axis", int64_t{0});
  builder.Node("Reshape", {"x", "cut"}, {"y"}).Output("y");
  EXPECT_THAT(OutputDims(MustImport(builder)), ElementsAre(4, 6));
}

TEST(OnnxImportTest, IdentityAndDropoutDisappearButKeepTheirNames) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Weight("w", {3}).Node("Identity", {"w"}, {"w2"}).Named("copy");
  builder.Node("Add", {"x", "w2"}, {"a"}).Node("Dropout", {"a"}, {"b", "mask"}).Named("drop");
  builder.Node("Relu", {"b"}, {"y"}).Output("y");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 2U);
  EXPECT_EQ(FindNode(graph, "copy").value(), 0U);
  EXPECT_EQ(FindNode(graph, "drop").value(), 1U);
}

TEST(OnnxImportTest, IdentityThatMakesAnOutputStaysAsACopy) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"a"}).Node("Identity", {"a"}, {"y"}).Output("y").Output("a");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 2U);
  EXPECT_EQ(graph.nodes[1].op, Op::kReshape);
  EXPECT_EQ(graph.values[graph.outputs.at(0)].name, "y");
}

TEST(OnnxImportTest, NodesThatNoOutputNeedsAreDropped) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Node("Tanh", {"x"}, {"unused"}).Node("Relu", {"x"}, {"y"}).Output("y");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 1U);
  EXPECT_EQ(FindNode(graph, "unused").value(), 0U);
}

TEST(OnnxImportTest, PadFormsOfOldAndNewOperatorSetsAgree) {
  OnnxBuilder old(10);
  old.Input("x", {1, 2, 3, 3}).Node("Pad", {"x"}, {"y"}).Attribute("pads", {0, 0, 1, 2, 0, 1, -1, 0});
  old.Attribute("value", 2.5F).Output("y");
  OnnxBuilder inputs(13);
  inputs.Input("x", {1, 2, 3, 3}).Ints("p", {0, 0, 1, 2, 0, 1, -1, 0}).Weight("v", {}, {2.5F});
  inputs.Node("Pad", {"x", "p", "v"}, {"y"}).Output("y");
  const Graph a = MustImport(old);
  EXPECT_THAT(OutputDims(a), ElementsAre(1, 3, 3, 5));
  ExpectSameGraph(a, MustImport(inputs));
}

TEST(OnnxImportTest, SlicesAreBroughtInRange) {
  OnnxBuilder builder(13);
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  builder.Input("x", {1, 5, 6}).Ints("s", {-1, 1}).Ints("e", {-kMax, kMax}).Ints("a", {1, -1}).Ints("t", {-2, 2});
  builder.Node("Slice", {"x", "s", "e", "a", "t"}, {"y"}).Output("y");
  const Graph graph = MustImport(builder);
  EXPECT_THAT(OutputDims(graph), ElementsAre(1, 3, 3));
  EXPECT_EQ(std::get<SliceAttributes>(graph.nodes.at(0).attributes), (SliceAttributes{{0, 4, 1}, {1, -2, 2}}));
}

TEST(OnnxImportTest, SliceOfOldOperatorSetsReadsAttributes) {
  OnnxBuilder builder(9);
  builder.Input("x", {1, 5, 6}).Node("Slice", {"x"}, {"y"}).Attribute("starts", {1, -3}).Attribute("ends", {3, 100});
  builder.Attribute("axes", {1, 2}).Output("y");
  EXPECT_THAT(OutputDims(MustImport(builder)), ElementsAre(1, 2, 3));
}

TEST(OnnxImportTest, LayoutOperatorsBecomeReshapes) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2, 1, 4}).Ints("two", {2}).Ints("ends", {0, 4}).Ints("keep", {0, 0, -1});
  builder.Node("Squeeze", {"x", "two"}, {"squeezed"});        // 1,2,4
  builder.Node("Unsqueeze", {"squeezed", "ends"}, {"wide"});  // 1,1,2,4,1
  builder.Node("Reshape", {"wide", "keep"}, {"r"});           // 1,1,8
  builder.Node("Flatten", {"r"}, {"y"}).Attribute("axis", int64_t{-1}).Output("y");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 4U);
  for (const Node& node : graph.nodes) {
    EXPECT_EQ(node.op, Op::kReshape);
  }
  EXPECT_EQ(graph.values[graph.nodes[1].outputs[0]].shape, Shape({1, 1, 2, 4, 1}));
  EXPECT_THAT(OutputDims(graph), ElementsAre(1, 8));
}

TEST(OnnxImportTest, AxesOfOldSqueezeComeFromTheAttribute) {
  OnnxBuilder builder(11);
  builder.Input("x", {1, 7, 1, 1}).Node("Squeeze", {"x"}, {"y"}).Attribute("axes", {-1, 2}).Output("y");
  EXPECT_THAT(OutputDims(MustImport(builder)), ElementsAre(1, 7));
}

TEST(OnnxImportTest, ConstantReshapeAndTransposeAreFolded) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2}).Weight("w", {6}, {1, 2, 3, 4, 5, 6}).Ints("to", {3, 2});
  builder.Node("Reshape", {"w", "to"}, {"w32"}).Node("Transpose", {"w32"}, {"w23"});
  builder.Node("MatMul", {"x", "w23"}, {"y"}).Output("y");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 1U);
  const Tensor& w = *graph.values[graph.nodes[0].inputs[1]].constant;
  EXPECT_EQ(w.shape(), Shape({2, 3}));
  EXPECT_THAT(w.values<float>(), ElementsAre(1, 3, 5, 2, 4, 6));
}

TEST(OnnxImportTest, EveryElementwiseOperatorSurvivesTheRoundTrip) {
  OnnxBuilder builder(14);
  builder.Input("x", {1, 4, 2, 2}).Weight("c", {4, 1, 1});
  builder.Node("LeakyRelu", {"x"}, {"a"}).Attribute("alpha", 0.25F).Node("HardSigmoid", {"a"}, {"b"});
  builder.Node("HardSwish", {"b"}, {"d"}).Node("Tanh", {"d"}, {"e"}).Node("Sigmoid", {"e"}, {"f"});
  builder.Node("Mul", {"f", "c"}, {"g"}).Node("Div", {"g", "c"}, {"h"}).Node("Sub", {"c", "h"}, {"i"});
  builder.Node("ReduceMean", {"i"}, {"j"}).Attribute("axes", {-1, -2}).Attribute("keepdims", int64_t{0});
  builder.Node("Concat", {"j", "j"}, {"y"}).Attribute("axis", int64_t{-1}).Output("y");
  const Graph graph = MustImport(builder);
  ASSERT_EQ(graph.nodes.size(), 10U);
  EXPECT_EQ(std::get<FloatAttributes>(graph.nodes[1].attributes), (FloatAttributes{0.2F, 0.5F}));
  EXPECT_EQ(std::get<ReduceAttributes>(graph.nodes[8].attributes), (ReduceAttributes{{2, 3}, false}));
  EXPECT_THAT(OutputDims(graph), ElementsAre(1, 8));
}

TEST(OnnxImportTest, AveragePoolAndGemmKeepTheirAttributes) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3, 8, 8}).Node("AveragePool", {"x"}, {"p"}).Attribute("kernel_shape", {3, 3});
  builder.Attribute("pads", {1, 1, 1, 1}).Attribute("strides", {4, 4}).Attribute("count_include_pad", int64_t{1});
  builder.Node("Flatten", {"p"}, {"f"}).Weight("w", {12, 5}).Weight("b", {1, 5});
  builder.Node("Gemm", {"f", "w", "b"}, {"y"}).Attribute("alpha", 0.5F).Attribute("beta", 2.0F).Output("y");
  const Graph graph = MustImport(builder);
  EXPECT_TRUE(std::get<PoolAttributes>(graph.nodes.at(0).attributes).count_include_pad);
  EXPECT_EQ(std::get<GemmAttributes>(graph.nodes.at(2).attributes), (GemmAttributes{0.5F, 2.0F, false, false}));
}

}  // namespace
}  // namespace shoji::graph
