// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Models whose file leaves more of the input's shape open than the batch, as exporters with dynamic axes write them.

#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/byte_source.h"
#include "lib/graph/onnx_import.h"
#include "tests/support/onnx_builder.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Names the dynamic dimensions of the input `at`.
void NameDimensions(OnnxBuilder& builder, const std::vector<std::string>& names, int at = 0) {
  auto* type = builder.proto().mutable_graph()->mutable_input(at)->mutable_type()->mutable_tensor_type();
  for (size_t i = 0; i < names.size(); ++i) {
    if (!names[i].empty()) {
      type->mutable_shape()->mutable_dim(static_cast<int>(i))->set_dim_param(names[i]);
    }
  }
}

// A convolution, and a flattening whose target is computed from its own shape: [batch, channels * height * width].
Bytes AllDynamic(int64_t opset = 13) {
  OnnxBuilder builder(opset);
  builder.Input("pixels", {-1, -1, -1, -1}).Weight("w", {2, 3, 3, 3}).Ints("zero", {0}).Ints("one", {1});
  builder.Ints("two", {2}).Ints("three", {3});
  NameDimensions(builder, {"batch_size", "num_channels", "height", "width"});
  builder.Node("Conv", {"pixels", "w"}, {"c"}).Named("conv").Node("Shape", {"c"}, {"s"});
  builder.Node("Gather", {"s", "zero"}, {"n"}).Node("Gather", {"s", "one"}, {"d"}).Node("Gather", {"s", "two"}, {"h"});
  builder.Node("Gather", {"s", "three"}, {"v"}).Node("Mul", {"h", "v"}, {"hv"}).Node("Mul", {"hv", "d"}, {"rest"});
  builder.Node("Concat", {"n", "rest"}, {"target"}).Attribute("axis", int64_t{0});
  return builder.Node("Reshape", {"c", "target"}, {"y"}).Named("flat").Output("y").Build();
}

ImportOptions Stating(std::initializer_list<int64_t> shape) {
  ImportOptions options;
  options.input_shape = {Shape(shape), "the picture is"};
  return options;
}

void ExpectRefused(ByteSpan file, const ImportOptions& options, absl::StatusCode code, const std::string& text) {
  const absl::StatusOr<Graph> graph = ImportOnnx(file, options);
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().code(), code) << graph.status();
  EXPECT_THAT(std::string(graph.status().message()), HasSubstr(text));
}

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kUnimplemented = absl::StatusCode::kUnimplemented;

TEST(InputShapeTest, WhatIsStatedStandsForTheDimensionsThatAreDynamic) {
  for (const int64_t opset : {7, 11, 13, 17, 18, 21}) {
    for (const ImportOptions& options : {Stating({3, 8, 6}), Stating({1, 3, 8, 6})}) {
      const absl::StatusOr<Graph> graph = ImportOnnx(AllDynamic(opset), options);
      ASSERT_TRUE(graph.ok()) << graph.status();
      EXPECT_THAT(graph->values[graph->inputs.at(0)].shape.dims(), ElementsAre(1, 3, 8, 6));
      EXPECT_THAT(graph->values[graph->outputs.at(0)].shape.dims(), ElementsAre(1, 2 * 6 * 4));
      // What the shape was computed with is folded.
      ASSERT_EQ(graph->nodes.size(), 2U);
      EXPECT_EQ(graph->nodes[1].name, "flat");
    }
  }
}

TEST(InputShapeTest, TheDigestIsTheFilesWhateverIsStated) {
  const Bytes file = AllDynamic();
  SpanSource source(file);
  const absl::StatusOr<ImportedModel> model = ImportModel(source, Stating({3, 8, 6}));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->digest, digest::Sha256(file));
}

TEST(InputShapeTest, OneDynamicDimensionIsEnough) {
  OnnxBuilder builder;
  builder.Input("x", {1, -1, 4}).Node("Relu", {"x"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build(), Stating({5, 4}));
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(graph->values[graph->outputs.at(0)].shape.dims(), ElementsAre(1, 5, 4));
}

TEST(InputShapeTest, AnExtentOfMinusOneIsDynamic) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3, 2, 2}).Node("Relu", {"x"}, {"y"}).Output("y");
  auto* type = builder.proto().mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type();
  for (const int dim : {0, 2, 3}) {
    type->mutable_shape()->mutable_dim(dim)->set_dim_value(-1);
  }
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build(), Stating({3, 7, 9}));
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(graph->values[graph->outputs.at(0)].shape.dims(), ElementsAre(1, 3, 7, 9));
  ExpectRefused(builder.Build(), {}, kUnimplemented, "input `x` is [?,3,?,?]: dimensions 2 and 3 are dynamic");
}

TEST(InputShapeTest, InitializersAmongTheInputsAreNoInputs) {
  OnnxBuilder builder(8, 3);
  builder.Input("x", {-1, -1}).Input("w", {3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build(), Stating({3}));
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(graph->values[graph->inputs.at(0)].shape.dims(), ElementsAre(1, 3));
}

TEST(InputShapeTest, DynamicDimensionsThatNobodyStatesAreNamedWithWhatToDo) {
  ImportOptions options;
  options.how_to_fix_shape = "ask its author";
  ExpectRefused(AllDynamic(), options, kUnimplemented,
                "input `pixels` is [`batch_size`,`num_channels`,`height`,`width`]: dimensions 1, 2 and 3 are dynamic, "
                "and only the first, the batch, may be: ask its author");
  OnnxBuilder one;
  one.Input("x", {1, -1}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(one.Build(), {}, kUnimplemented,
                "input `x` is [1,`N`]: dimension 1 is dynamic, and only the first, the batch, may be: export the model "
                "with a fixed input shape");
}

TEST(InputShapeTest, WhatTheFileFixesMustAgree) {
  OnnxBuilder partly;
  partly.Input("x", {-1, 3, -1, -1}).Node("Relu", {"x"}, {"y"}).Output("y");
  NameDimensions(partly, {"batch", "", "height", "width"});
  ExpectRefused(partly.Build(), Stating({1, 28, 28}), kInvalid,
                "input `x` is [`batch`,3,`height`,`width`], but the picture is [1,28,28]");
  OnnxBuilder fixed;
  fixed.Input("x", {-1, 3, 8, 8}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(fixed.Build(), Stating({3, 8, 9}), kInvalid, "input `x` is [`N`,3,8,8], but the picture is [3,8,9]");
  EXPECT_TRUE(ImportOnnx(fixed.Build(), Stating({3, 8, 8})).ok());
}

TEST(InputShapeTest, TheStatedRankMustFit) {
  for (const ImportOptions& options : {Stating({8, 8}), Stating({1, 1, 3, 8, 8}), Stating({})}) {
    ExpectRefused(AllDynamic(), options, kInvalid, "`width`], but the picture is [");
  }
}

TEST(InputShapeTest, ABatchOfSeveralIsNotStated) {
  ExpectRefused(AllDynamic(), Stating({2, 3, 8, 8}), kInvalid, "but the picture is [2,3,8,8]");
}

TEST(InputShapeTest, OneShapeDoesNotFitSeveralInputs) {
  OnnxBuilder builder;
  builder.Input("x", {1, -1}).Input("z", {1, -1}).Node("Add", {"x", "z"}, {"y"}).Output("y");
  ExpectRefused(builder.Build(), Stating({4}), kInvalid,
                "the model takes 2 inputs, but the picture is [4], the shape of one");
  ExpectRefused(builder.Build(), {}, kUnimplemented, "the model has several inputs: export it with fixed input shapes");
}

TEST(InputShapeTest, AStatedShapeOfTooManyBytesIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {-1, -1}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(builder.Build(), Stating({int64_t{1} << 30}), absl::StatusCode::kResourceExhausted, "input `x`: shape");
}

TEST(InputShapeTest, NamesOfDimensionsCannotForgeALineOfAMessage) {
  OnnxBuilder builder;
  builder.Input("x", {1, -1}).Node("Relu", {"x"}, {"y"}).Output("y");
  NameDimensions(builder, {"", "a\nb"});
  ExpectRefused(builder.Build(), {}, kUnimplemented, "input `x` is [1,`a?b`]: dimension 1 is dynamic");
}

}  // namespace
}  // namespace shoji::graph
