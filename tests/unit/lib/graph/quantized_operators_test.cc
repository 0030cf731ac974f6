// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Models that come quantized.

#include <onnx/onnx_pb.h>

#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/unit/lib/graph/run_model.h"

namespace shoji::graph {
namespace {

using ::onnx::TensorProto;
using shoji::testing::OnnxBuilder;
using ::testing::HasSubstr;

absl::StatusOr<Graph> Import(const OnnxBuilder& builder) { return ImportOnnx(builder.Build()); }

// Scale 0.5 and zero point 100 of unsigned bytes: from -50 to 77.5.
OnnxBuilder& AddParameters(OnnxBuilder& builder) {
  return builder.Weight("scale", {}, {0.5F}).Integers("zero", TensorProto::UINT8, {}, {100});
}

TEST(QuantizedOperatorsTest, ActivationsAreRoundedToEvenAndSaturate) {
  OnnxBuilder builder(13);
  AddParameters(builder).Input("x", {1, 7}).Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"}).Named("quantize");
  builder.Node("DequantizeLinear", {"q", "scale", "zero"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = Import(builder);
  ASSERT_TRUE(graph.ok()) << graph.status();
  ASSERT_EQ(graph->nodes.size(), 1U);
  EXPECT_EQ(graph->nodes[0].op, Op::kFakeQuantize);
  EXPECT_EQ(graph->nodes[0].name, "y");
  EXPECT_EQ(std::get<FakeQuantizeAttributes>(graph->nodes[0].attributes), (FakeQuantizeAttributes{0.5F, 100, 0, 255}));
  ExpectNear(RunModel(builder, {{0.25F, 0.75F, 1.3F, -0.25F, -1000, 1000, NAN}}).at(0),
             {0, 1, 1.5F, 0, -50, 77.5F, -50});
}

TEST(QuantizedOperatorsTest, SignedBytesSaturateAtTheirOwnBounds) {
  OnnxBuilder builder(13);
  builder.Weight("scale", {}, {2}).Integers("zero", TensorProto::INT8, {}, {-10}).Input("x", {1, 3});
  builder.Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"});
  builder.Node("DequantizeLinear", {"q", "scale", "zero"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {{-1000, 5, 1000}}).at(0), {-236, 4, 274});
}

TEST(QuantizedOperatorsTest, OneQuantizationServesSeveralReaders) {
  OnnxBuilder builder(13);
  AddParameters(builder).Input("x", {1, 2}).Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"});
  builder.Node("DequantizeLinear", {"q", "scale", "zero"}, {"a"}).Node("Relu", {"a"}, {"ra"});
  builder.Node("DequantizeLinear", {"q", "scale", "zero"}, {"b"}).Node("Add", {"ra", "b"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = Import(builder);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->nodes.size(), 3U);
  ExpectNear(RunModel(builder, {{-1.2F, 1.3F}}).at(0), {-1, 3});
}

TEST(QuantizedOperatorsTest, WeightsAreDequantizedExactly) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2}).Integers("w", TensorProto::INT8, {2, 2}, {-128, 127, 3, 0});
  builder.Weight("scales", {2}, {0.5F, 0.25F}).Integers("zeros", TensorProto::INT8, {2}, {0, 7});
  builder.Node("DequantizeLinear", {"w", "scales", "zeros"}, {"d"}).Attribute("axis", int64_t{0});
  builder.Integers("b", TensorProto::INT32, {2}, {1 << 20, -3}).Weight("bias_scale", {}, {0.125F});
  builder.Node("DequantizeLinear", {"b", "bias_scale"}, {"bias"});
  builder.Node("Gemm", {"x", "d", "bias"}, {"y"}).Attribute("transB", int64_t{1}).Output("y");
  const absl::StatusOr<Graph> graph = Import(builder);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->nodes.size(), 1U);
  ExpectNear(RunModel(builder, {{1, 10}}).at(0), {-64 + 635 + 131072, -1 - 17.5F - 0.375F});
}

TEST(QuantizedOperatorsTest, FloatWeightsQuantizedInTheFileAreFolded) {
  OnnxBuilder builder(13);
  AddParameters(builder).Input("x", {1, 3}).Weight("w", {3}, {0.6F, -90, 1.25F});
  builder.Node("QuantizeLinear", {"w", "scale", "zero"}, {"q"}).Node("DequantizeLinear", {"q", "scale", "zero"}, {"d"});
  builder.Node("Mul", {"x", "d"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = Import(builder);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->nodes.size(), 1U);
  ExpectNear(RunModel(builder, {{1, 1, 1}}).at(0), {0.5F, -50, 1});
}

TEST(QuantizedOperatorsTest, OperatorsThatMoveElementsMoveIntegers) {
  OnnxBuilder builder(13);
  AddParameters(builder).Input("x", {1, 1, 2, 2}).Ints("flat", {1, -1});
  builder.Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"});
  builder.Node("Transpose", {"q"}, {"t"}).Attribute("perm", {0, 1, 3, 2}).Node("Reshape", {"t", "flat"}, {"f"});
  builder.Node("DequantizeLinear", {"f", "scale", "zero"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {{1, 2.2F, 3, 4}}).at(0), {1, 3, 2, 4});
}

TEST(QuantizedOperatorsTest, IntegersReadByAnotherScaleMeanOtherNumbers) {
  OnnxBuilder builder(13);
  AddParameters(builder).Input("x", {1, 2}).Weight("other", {}, {3}).Integers("ten", TensorProto::UINT8, {}, {10});
  builder.Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"});
  builder.Node("DequantizeLinear", {"q", "other", "ten"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {{0, 2}}).at(0), {270, 282});  // 100 and 104
}

TEST(QuantizedOperatorsTest, QLinearConvAndMatMulAreTheirFloatTwins) {
  OnnxBuilder builder(10);
  AddParameters(builder).Input("x", {1, 1, 1, 2});
  builder.Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"});
  builder.Integers("w", TensorProto::INT8, {2, 1, 1, 1}, {4, -8}).Weight("ws", {2}, {0.25F, 0.5F});
  builder.Integers("wz", TensorProto::INT8, {2}, {0, 0}).Integers("b", TensorProto::INT32, {2}, {8, 0});
  builder.Weight("ys", {}, {1}).Integers("yz", TensorProto::UINT8, {}, {128});
  builder.Node("QLinearConv", {"q", "scale", "zero", "w", "ws", "wz", "ys", "yz", "b"}, {"c"});
  builder.Node("DequantizeLinear", {"c", "ys", "yz"}, {"conv"}).Output("conv");
  builder.Integers("m", TensorProto::INT8, {2, 1}, {2, 1}).Weight("ms", {}, {0.5F});
  builder.Integers("mz", TensorProto::INT8, {}, {0});
  builder.Node("QLinearMatMul", {"c", "ys", "yz", "m", "ms", "mz", "ys", "yz"}, {"p"});
  builder.Node("DequantizeLinear", {"p", "ys", "yz"}, {"product"}).Output("product");
  const std::vector<Floats> y = RunModel(builder, {{1, 10}});
  // 1 and 10 times 1, plus 8 * 0.5 * 0.25; times -4.
  ExpectNear(y.at(0), {2, 11, -4, -40});
  ExpectNear(y.at(1), {8, -24});  // 2 + 11 / 2 = 7.5 rounds to the even one
}

TEST(QuantizedOperatorsTest, InputsOfBytesAreWholeNumbers) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2, 1, 1}).Weight("scale", {}, {0.5F}).Integers("zero", TensorProto::UINT8, {}, {100});
  builder.proto().mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
      TensorProto::UINT8);
  builder.Node("Cast", {"x"}, {"numbers"}).Attribute("to", int64_t{1}).Node("Neg", {"numbers"}, {"a"});
  builder.Node("DequantizeLinear", {"x", "scale", "zero"}, {"b"}).Output("a").Output("b");
  const absl::StatusOr<Graph> graph = Import(builder);
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->values[graph->inputs.at(0)].type, DataType::kFloat32);
  const std::vector<Floats> y = RunModel(builder, {{0, 255}});
  ExpectNear(y.at(0), {0, -255});
  ExpectNear(y.at(1), {-50, 77.5F});
}

TEST(QuantizedOperatorsTest, WhatCannotBeReadIsRefusedByName) {
  OnnxBuilder arithmetic(13);
  AddParameters(arithmetic).Input("x", {1, 2}).Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"});
  arithmetic.Node("Relu", {"q"}, {"y"}).Output("y");
  EXPECT_THAT(std::string(Import(arithmetic).status().message()),
              HasSubstr("node `y` (Relu): reads `q`, which is quantized"));
  OnnxBuilder output(13);
  AddParameters(output).Input("x", {1, 2}).Node("QuantizeLinear", {"x", "scale", "zero"}, {"y"}).Output("y");
  EXPECT_THAT(std::string(Import(output).status().message()), HasSubstr("output `y`: it holds integers"));
  OnnxBuilder scale(13);
  scale.Input("x", {1, 2}).Weight("scale", {}, {-1}).Node("QuantizeLinear", {"x", "scale"}, {"q"});
  scale.Node("DequantizeLinear", {"q", "scale"}, {"y"}).Output("y");
  EXPECT_EQ(Import(scale).status().message(), "node `q` (QuantizeLinear): a scale is not above 0");
  OnnxBuilder channels(13);
  channels.Input("x", {1, 2}).Weight("s", {2}, {1, 2}).Node("QuantizeLinear", {"x", "s"}, {"q"});
  channels.Node("DequantizeLinear", {"q", "s"}, {"y"}).Output("y");
  EXPECT_EQ(Import(channels).status().message(),
            "node `q` (QuantizeLinear): an activation with a scale for each channel is not supported");
  OnnxBuilder weights(13);
  weights.Input("x", {1, 2}).Weight("s", {3}, {1, 2, 3}).Integers("w", TensorProto::UINT8, {2}, {1, 2});
  weights.Node("DequantizeLinear", {"w", "s"}, {"d"}).Attribute("axis", int64_t{0});
  weights.Node("Mul", {"x", "d"}, {"y"}).Output("y");
  EXPECT_EQ(Import(weights).status().message(), "node `d` (DequantizeLinear): 3 scales do not fit axis 0 of shape [2]");
}

TEST(QuantizedOperatorsTest, AZeroPointOfAnotherTypeThanTheValuesIsRefused) {
  OnnxBuilder activation(13);
  AddParameters(activation).Integers("other", TensorProto::INT8, {}, {100}).Input("x", {1, 2});
  activation.Node("QuantizeLinear", {"x", "scale", "zero"}, {"q"});
  activation.Node("DequantizeLinear", {"q", "scale", "other"}, {"y"}).Output("y");
  EXPECT_EQ(Import(activation).status().message(),
            "node `y` (DequantizeLinear): its values are uint8, and their zero point is int8");
  OnnxBuilder weights(13);
  AddParameters(weights).Input("x", {1, 2}).Integers("w", TensorProto::INT8, {2}, {1, 2});
  weights.Node("DequantizeLinear", {"w", "scale", "zero"}, {"d"}).Node("Mul", {"x", "d"}, {"y"}).Output("y");
  EXPECT_EQ(Import(weights).status().message(),
            "node `d` (DequantizeLinear): its values are int8, and their zero point is uint8");
}

}  // namespace
}  // namespace shoji::graph
