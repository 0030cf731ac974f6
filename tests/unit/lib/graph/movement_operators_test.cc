// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that move and select elements, and the constant arithmetic that exporters write around them.

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/cut.h"
#include "lib/graph/onnx_import.h"
#include "tests/unit/lib/graph/run_model.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// As in TensorProto.
constexpr int32_t kInt32 = 6;
constexpr int32_t kInt64 = 7;
constexpr int32_t kBool = 9;

Floats CountUp(size_t count) {
  Floats out(count);
  std::iota(out.begin(), out.end(), 0.0F);
  return out;
}

absl::StatusOr<Graph> Import(const OnnxBuilder& builder) { return ImportOnnx(builder.Build()); }

TEST(MovementOperatorsTest, SplitTakesStatedEqualAndRoundedParts) {
  OnnxBuilder old(11);
  old.Input("x", {1, 5}).Node("Split", {"x"}, {"a", "b"}).Attribute("axis", int64_t{1}).Attribute("split", {2, 3});
  const std::vector<Floats> stated = RunModel(old.Output("a").Output("b"), {CountUp(5)});
  ExpectNear(stated.at(0), {0, 1});
  ExpectNear(stated.at(1), {2, 3, 4});
  OnnxBuilder equal(13);
  equal.Input("x", {1, 4}).Node("Split", {"x"}, {"a", "b"}).Attribute("axis", int64_t{-1});
  ExpectNear(RunModel(equal.Output("b"), {CountUp(4)}).at(0), {2, 3});
  OnnxBuilder rounded(18);
  rounded.Input("x", {1, 5}).Node("Split", {"x"}, {"a", "b"}).Attribute("axis", int64_t{1});
  rounded.Attribute("num_outputs", int64_t{2});
  const std::vector<Floats> parts = RunModel(rounded.Output("a").Output("b"), {CountUp(5)});
  ExpectNear(parts.at(0), {0, 1, 2});
  ExpectNear(parts.at(1), {3, 4});
}

TEST(MovementOperatorsTest, SplitOfWrongPartsIsRefused) {
  for (const std::vector<int64_t>& parts : {std::vector<int64_t>{2, 2}, {2, 4}, {-1, 6}, {1, 1, 3}}) {
    OnnxBuilder builder(13);
    builder.Input("x", {1, 5}).Ints("parts", parts).Node("Split", {"x", "parts"}, {"a", "b"});
    builder.Attribute("axis", int64_t{1}).Output("a").Output("b");
    EXPECT_EQ(Import(builder).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(MovementOperatorsTest, CutAtAnOperatorOfSeveralStepsTakesAllOfThem) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 6}).Node("Relu", {"x"}, {"r"}).Node("Split", {"r"}, {"a", "b", "c"}).Named("parts");
  builder.Attribute("axis", int64_t{1}).Node("LogSoftmax", {"b"}, {"l"}).Named("last").Node("Add", {"l", "a"}, {"y"});
  const absl::StatusOr<Graph> graph = Import(builder.Output("y").Output("c"));
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(FindNode(*graph, "parts").value(), 1U);
  EXPECT_EQ(FindAfter(*graph, "parts").value(), 4U);
  EXPECT_EQ(FindNode(*graph, "last").value(), 4U);
  EXPECT_EQ(FindAfter(*graph, "last").value(), graph->nodes.size() - 1);
  for (size_t i = 4; i + 2 < graph->nodes.size(); ++i) {
    EXPECT_EQ(graph->nodes[i].step_of, "last");
  }
}

TEST(MovementOperatorsTest, GatherPicksSlicesAndAnyOrder) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 4, 2}).Integers("last", kInt64, {}, {-1}).Ints("order", {3, 0, 0});
  builder.Integers("table", kInt64, {2, 2}, {0, 1, 2, 0});
  builder.Node("Gather", {"x", "last"}, {"row"}).Attribute("axis", int64_t{1});
  builder.Node("Gather", {"x", "order"}, {"rows"}).Attribute("axis", int64_t{1});
  builder.Node("Gather", {"x", "table"}, {"block"}).Attribute("axis", int64_t{1});
  const std::vector<Floats> y = RunModel(builder.Output("row").Output("rows").Output("block"), {CountUp(8)});
  ExpectNear(y.at(0), {6, 7});
  ExpectNear(y.at(1), {6, 7, 0, 1, 0, 1});
  ExpectNear(y.at(2), {0, 1, 2, 3, 4, 5, 0, 1});
}

TEST(MovementOperatorsTest, IndicesThatManyNodesCopyAreCounted) {
  OnnxBuilder builder(13);
  std::vector<int64_t> indices(100000);
  for (size_t i = 0; i < indices.size(); ++i) {
    indices[i] = static_cast<int64_t>(i * i % 4);
  }
  builder.Input("x", {1, 4}).Ints("i", indices);
  for (int node = 0; node < 100; ++node) {
    builder.Node("Gather", {"x", "i"}, {"y" + std::to_string(node)}).Attribute("axis", int64_t{1});
  }
  const absl::Status refused = Import(builder.Output("y0")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("(Gather): folding constants of the file exceeds the limit"));
}

TEST(MovementOperatorsTest, GatherOutOfRangeIsRefused) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 4}).Ints("i", {4}).Node("Gather", {"x", "i"}, {"y"}).Attribute("axis", int64_t{1});
  EXPECT_EQ(Import(builder.Output("y")).status().message(), "node `y` (Gather): index 4 is out of range");
}

TEST(MovementOperatorsTest, ExpandAndTileRepeat) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2, 1}).Ints("shape", {2, 2, 3}).Ints("repeats", {1, 2, 2});
  builder.Node("Expand", {"x", "shape"}, {"e"}).Node("Tile", {"x", "repeats"}, {"t"});
  const std::vector<Floats> y = RunModel(builder.Output("e").Output("t"), {{7, 8}});
  ExpectNear(y.at(0), {7, 7, 7, 8, 8, 8, 7, 7, 7, 8, 8, 8});
  ExpectNear(y.at(1), {7, 7, 8, 8, 7, 7, 8, 8});
}

TEST(MovementOperatorsTest, RepeatsThatBlowUpAreRefused) {
  OnnxBuilder tile(13);
  tile.Input("x", {1, 2}).Ints("repeats", {1, int64_t{1} << 60}).Node("Tile", {"x", "repeats"}, {"y"}).Output("y");
  EXPECT_FALSE(Import(tile).ok());
  OnnxBuilder expand(13);
  expand.Input("x", {1, 2}).Ints("shape", {int64_t{1} << 33, 2}).Node("Expand", {"x", "shape"}, {"y"}).Output("y");
  EXPECT_EQ(Import(expand).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(MovementOperatorsTest, DepthToSpaceGoesBothWays) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 4, 1, 2}).Node("DepthToSpace", {"x"}, {"d"}).Attribute("blocksize", int64_t{2});
  builder.Node("DepthToSpace", {"x"}, {"c"}).Attribute("blocksize", int64_t{2}).TextAttribute("mode", "CRD");
  builder.Node("SpaceToDepth", {"d"}, {"s"}).Attribute("blocksize", int64_t{2});
  const std::vector<Floats> y = RunModel(builder.Output("d").Output("c").Output("s"), {CountUp(8)});
  ExpectNear(y.at(0), {0, 2, 1, 3, 4, 6, 5, 7});
  ExpectNear(y.at(1), {0, 2, 1, 3, 4, 6, 5, 7});  // of one output channel both orders are the same
  ExpectNear(y.at(2), CountUp(8));
}

TEST(MovementOperatorsTest, DepthToSpaceOrdersDiffer) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 8, 1, 1}).Node("DepthToSpace", {"x"}, {"d"}).Attribute("blocksize", int64_t{2});
  builder.Node("DepthToSpace", {"x"}, {"c"}).Attribute("blocksize", int64_t{2}).TextAttribute("mode", "CRD");
  const std::vector<Floats> y = RunModel(builder.Output("d").Output("c"), {CountUp(8)});
  ExpectNear(y.at(0), {0, 2, 4, 6, 1, 3, 5, 7});
  ExpectNear(y.at(1), CountUp(8));
}

TEST(MovementOperatorsTest, PadModesShowTheirOwnElements) {
  const auto padded = [](const char* mode, int64_t opset) {
    OnnxBuilder builder(opset);
    builder.Input("x", {1, 4}).Ints("pads", {0, 3, 0, 2}).Node("Pad", {"x", "pads"}, {"y"}).TextAttribute("mode", mode);
    return RunModel(builder.Output("y"), {CountUp(4)}).at(0);
  };
  ExpectNear(padded("constant", 13), {0, 0, 0, 0, 1, 2, 3, 0, 0});
  ExpectNear(padded("reflect", 13), {3, 2, 1, 0, 1, 2, 3, 2, 1});
  ExpectNear(padded("edge", 13), {0, 0, 0, 0, 1, 2, 3, 3, 3});
  ExpectNear(padded("wrap", 19), {1, 2, 3, 0, 1, 2, 3, 0, 1});
}

TEST(MovementOperatorsTest, PadsOfNamedAxesSinceOperatorSet18) {
  OnnxBuilder builder(18);
  builder.Input("x", {1, 2, 2}).Ints("pads", {1, 0}).Ints("axes", {-1});
  builder.Node("Pad", {"x", "pads", "", "axes"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {{1, 2, 3, 4}}).at(0), {0, 1, 2, 0, 3, 4});
}

TEST(MovementOperatorsTest, HugePadsAreRefused) {
  for (const char* mode : {"constant", "reflect"}) {
    OnnxBuilder builder(13);
    builder.Input("x", {1, 4}).Ints("pads", {0, int64_t{1} << 38, 0, 0}).Node("Pad", {"x", "pads"}, {"y"});
    builder.TextAttribute("mode", mode).Output("y");
    EXPECT_EQ(Import(builder).status().code(), absl::StatusCode::kResourceExhausted) << mode;
  }
}

TEST(MovementOperatorsTest, ChannelShuffleReshapesTransposesAndReshapes) {
  OnnxBuilder builder(13);
  builder.Input("x", {-1, 4, 1, 1}).Ints("split", {0, 2, 2, 1, 1}).Ints("join", {0, -1, 1, 1});
  builder.Node("Reshape", {"x", "split"}, {"a"}).Node("Transpose", {"a"}, {"b"}).Attribute("perm", {0, 2, 1, 3, 4});
  builder.Node("Reshape", {"b", "join"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {CountUp(4)}).at(0), {0, 2, 1, 3});
}

TEST(MovementOperatorsTest, SelectionByComparedShapesIsFolded) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2}).Ints("wanted", {-1, 3}).Ints("minus_one", {-1}).Ints("one", {1});
  builder.Node("Equal", {"wanted", "minus_one"}, {"open"}).Node("Where", {"open", "one", "wanted"}, {"shape"});
  builder.Node("ConstantOfShape", {"shape"}, {"zeros"}).Node("Concat", {"x", "zeros"}, {"y"});
  builder.Attribute("axis", int64_t{1}).Output("y");
  ExpectNear(RunModel(builder, {{5, 6}}).at(0), {5, 6, 0, 0, 0});
}

TEST(MovementOperatorsTest, ComparisonsAndLogicOfConstants) {
  OnnxBuilder builder(16);
  builder.Input("x", {1, 4}).Ints("a", {1, 2, 3, 4}).Ints("b", {2, 2, 2, 5}).Ints("yes", {1}).Ints("no", {0});
  builder.Node("Less", {"a", "b"}, {"lt"}).Node("LessOrEqual", {"a", "b"}, {"le"}).Node("Greater", {"a", "b"}, {"gt"});
  builder.Node("GreaterOrEqual", {"a", "b"}, {"ge"}).Node("Not", {"lt"}, {"not_lt"}).Node("And", {"le", "ge"}, {"eq"});
  builder.Node("Or", {"lt", "gt"}, {"ne"}).Node("Xor", {"not_lt", "eq"}, {"xor"});
  std::vector<std::string> names;
  for (const char* name : {"lt", "le", "gt", "ge", "not_lt", "eq", "ne", "xor"}) {
    const std::string as_float = std::string(name) + "_float";
    builder.Node("Where", {name, "yes", "no"}, {std::string(name) + "_int"});
    builder.Node("Cast", {std::string(name) + "_int"}, {as_float}).Attribute("to", int64_t{1});
    builder.Node("Add", {"x", as_float}, {std::string(name) + "_sum"}).Output(std::string(name) + "_sum");
  }
  const std::vector<Floats> y = RunModel(builder, {{0, 0, 0, 0}});
  ASSERT_EQ(y.size(), 8U);
  ExpectNear(y[0], {1, 0, 0, 1});
  ExpectNear(y[1], {1, 1, 0, 1});
  ExpectNear(y[2], {0, 0, 1, 0});
  ExpectNear(y[3], {0, 1, 1, 0});
  ExpectNear(y[4], {0, 1, 1, 0});
  ExpectNear(y[5], {0, 1, 0, 0});
  ExpectNear(y[6], {1, 0, 1, 1});
  ExpectNear(y[7], {0, 0, 1, 0});
}

TEST(MovementOperatorsTest, RemaindersOfConstantsHaveTheSignOfTheDivisorOrAsInC) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 4}).Ints("a", {7, -7, 7, -7}).Ints("b", {3, 3, -3, -3});
  builder.Integers("a32", kInt32, {1}, {9}).Integers("b32", kInt32, {4}, {2, 3, 4, 5});
  builder.Weight("af", {1}, {-7.5F}).Weight("bf", {4}, {2, -2, 4, 7});
  builder.Node("Mod", {"a", "b"}, {"floor"}).Node("Mod", {"a", "b"}, {"c"}).Attribute("fmod", int64_t{1});
  builder.Node("Mod", {"a32", "b32"}, {"i32"}).Node("Mod", {"af", "bf"}, {"f"}).Attribute("fmod", int64_t{1});
  for (const std::string name : {"floor", "c", "i32", "f"}) {
    builder.Node("Cast", {name}, {name + "_float"}).Attribute("to", int64_t{1});
    builder.Node("Add", {"x", name + "_float"}, {name + "_sum"}).Output(name + "_sum");
  }
  const std::vector<Floats> y = RunModel(builder, {{0, 0, 0, 0}});
  ASSERT_EQ(y.size(), 4U);
  ExpectNear(y[0], {1, 2, -2, -1});
  ExpectNear(y[1], {1, -1, 1, -1});
  ExpectNear(y[2], {1, 0, 1, 4});
  ExpectNear(y[3], {-1.5F, -1.5F, -3.5F, -0.5F});
}

TEST(MovementOperatorsTest, SinesAndCosinesOfConstantsAreFolded) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Weight("w", {3}, {0, 0.5F, -2}).Node("Sin", {"w"}, {"s"}).Node("Cos", {"w"}, {"c"});
  builder.Node("Add", {"x", "s"}, {"y"}).Node("Add", {"x", "c"}, {"z"}).Output("y").Output("z");
  const std::vector<Floats> y = RunModel(builder, {{0, 0, 0}});
  ExpectNear(y.at(0), {0, std::sin(0.5F), std::sin(-2.0F)});
  ExpectNear(y.at(1), {1, std::cos(0.5F), std::cos(-2.0F)});
  OnnxBuilder activation(13);
  activation.Input("x", {1, 3}).Node("Sin", {"x"}, {"y"}).Named("n").Output("y");
  EXPECT_EQ(Import(activation).status().message(),
            "node `n` (Sin): the operator is supported on constants of float32 only");
}

TEST(MovementOperatorsTest, RemaindersThatAreNoneAreRefused) {
  OnnxBuilder zero(13);
  zero.Input("x", {1, 4}).Ints("a", {INT64_MIN, 4}).Ints("b", {-1, 0}).Node("Mod", {"a", "b"}, {"m"}).Named("n");
  EXPECT_EQ(Import(zero.Node("Reshape", {"x", "m"}, {"y"}).Output("y")).status().message(),
            "node `n` (Mod): a division of constants has no result");
  OnnxBuilder activation(13);
  activation.Input("x", {1, 4}).Weight("w", {4}).Node("Mod", {"x", "w"}, {"y"}).Named("n");
  EXPECT_EQ(Import(activation.Attribute("fmod", int64_t{1}).Output("y")).status().message(),
            "node `n` (Mod): the operator is supported on constants only");
}

TEST(MovementOperatorsTest, ComparisonOfActivationsIsRefused) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 4}).Weight("w", {4}).Node("Less", {"x", "w"}, {"l"}).Node("Where", {"l", "x", "w"}, {"y"});
  EXPECT_EQ(Import(builder.Output("y")).status().message(),
            "node `l` (Less): the operator is supported on constants only");
}

TEST(MovementOperatorsTest, RangesSizesAndProductsOfShapesAreFolded) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 6}).Integers("zero", kInt64, {}, {0}).Integers("limit", kInt64, {}, {5});
  builder.Integers("step", kInt64, {}, {2}).Ints("axes", {0});
  builder.Node("Range", {"zero", "limit", "step"}, {"even"}).Node("Gather", {"x", "even"}, {"picked"});
  builder.Attribute("axis", int64_t{1}).Node("Shape", {"picked"}, {"s"}).Node("ReduceProd", {"s"}, {"p"});
  builder.Attribute("keepdims", int64_t{1}).Node("Size", {"picked"}, {"n"}).Node("Unsqueeze", {"n", "axes"}, {"u"});
  builder.Node("Div", {"u", "p"}, {"rows"}).Node("Concat", {"p", "rows"}, {"to"}).Attribute("axis", int64_t{0});
  builder.Node("Reshape", {"picked", "to"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = Import(builder);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(graph->values[graph->outputs[0]].shape.dims(), ElementsAre(3, 1));
  ExpectNear(RunModel(builder, {CountUp(6)}).at(0), {0, 2, 4});
}

TEST(MovementOperatorsTest, EndlessAndHugeRangesAreRefused) {
  for (const auto& [limit, step] : {std::pair<int64_t, int64_t>{5, 0}, {INT64_MAX, 1}, {INT64_MIN, -1}}) {
    OnnxBuilder builder(13);
    builder.Input("x", {1, 6}).Integers("zero", kInt64, {}, {0}).Integers("limit", kInt64, {}, {limit});
    builder.Integers("step", kInt64, {}, {step}).Node("Range", {"zero", "limit", "step"}, {"r"});
    builder.Node("Gather", {"x", "r"}, {"y"}).Attribute("axis", int64_t{1}).Output("y");
    EXPECT_THAT(std::string(Import(builder).status().message()), HasSubstr("node `r` (Range): a range from 0 to"));
  }
}

TEST(MovementOperatorsTest, CastsOfConstantsKeepWhatFits) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Weight("w", {3}, {-1.75F, 0, 2.5F});
  for (const int64_t type : {int64_t{kInt32}, int64_t{3}, int64_t{kBool}}) {  // 3: int8
    const std::string name = "t" + std::to_string(type);
    builder.Node("Cast", {"w"}, {name}).Attribute("to", type).Node("Cast", {name}, {name + "f"});
    builder.Attribute("to", int64_t{1}).Node("Add", {"x", name + "f"}, {name + "y"}).Output(name + "y");
  }
  const std::vector<Floats> y = RunModel(builder, {{0, 0, 0}});
  ExpectNear(y.at(0), {-1, 0, 2});
  ExpectNear(y.at(1), {-1, 0, 2});
  ExpectNear(y.at(2), {1, 0, 1});
  OnnxBuilder large(13);
  large.Input("x", {1, 1}).Weight("w", {1}, {300}).Node("Cast", {"w"}, {"t"}).Attribute("to", int64_t{3});
  large.Node("Cast", {"t"}, {"f"}).Attribute("to", int64_t{1}).Node("Add", {"x", "f"}, {"y"}).Output("y");
  EXPECT_EQ(Import(large).status().message(), "node `t` (Cast): a constant does not fit in the type it is cast to");
}

TEST(MovementOperatorsTest, PicturesWithChannelsLastRunBehindATranspose) {
  // As tf2onnx leaves a network: the picture transposed for each convolution, and back.
  OnnxBuilder builder(13);
  builder.Input("x", {-1, 2, 2, 2}).Weight("w", {1, 2, 1, 1}, {1, 10}).Weight("bias", {1}, {100});
  builder.Node("Transpose", {"x"}, {"planes"}).Attribute("perm", {0, 3, 1, 2});
  builder.Node("Conv", {"planes", "w"}, {"c"}).Node("Transpose", {"c"}, {"pixels"}).Attribute("perm", {0, 2, 3, 1});
  builder.Node("Add", {"pixels", "bias"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {CountUp(8)}).at(0), {110, 132, 154, 176});
}

}  // namespace
}  // namespace shoji::graph
