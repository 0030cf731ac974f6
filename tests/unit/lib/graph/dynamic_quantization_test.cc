// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Quantized models as onnxruntime's quantizer writes them: with scales that each picture gives, and with operators of
// its own domain.

#include <onnx/onnx_pb.h>

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

std::string RefusalOf(const OnnxBuilder& builder) {
  return std::string(ImportOnnx(builder.Build()).status().message());
}

// -1 to 4.1 is 255 steps of 0.02, and 0 the fiftieth.
const Floats kPicture = {-1, 0, 3, 4.1F};

OnnxBuilder& AddQuantized(OnnxBuilder& builder, const std::vector<int64_t>& dims) {
  return builder.Input("x", dims).Node("DynamicQuantizeLinear", {"x"}, {"q", "scale", "zero"}).Named("quantize");
}

TEST(DynamicQuantizationTest, ProductsOfIntegersAreThoseOfTheFile) {
  OnnxBuilder builder(13);
  AddQuantized(builder, {1, 4}).Integers("w", TensorProto::UINT8, {4, 1}, {3, 4, 5, 6});
  builder.Integers("wz", TensorProto::UINT8, {}, {4}).Weight("ws", {}, {0.5F});
  builder.Node("MatMulInteger", {"q", "w", "zero", "wz"}, {"sums"}).Named("fc");
  builder.Node("Cast", {"sums"}, {"numbers"}).Attribute("to", int64_t{TensorProto::FLOAT});
  builder.Node("Mul", {"scale", "ws"}, {"step"}).Node("Mul", {"numbers", "step"}, {"y"}).Output("y");
  // (50 + 150 + 2 * 205) steps of 0.02 * 0.5.
  ExpectNear(RunModel(builder, {kPicture}).at(0), {6.1F});
  // All above 0, which stays in the range: steps of 0.1, and 12.74 is rounded to 127 of them.
  ExpectNear(RunModel(builder, {{25.5F, 12.74F, 0, 10}}).at(0), {0.05F * (-255 + 200)});
}

TEST(DynamicQuantizationTest, APictureOfZerosGivesZeros) {
  OnnxBuilder builder(13);
  AddQuantized(builder, {1, 2}).Integers("w", TensorProto::INT8, {2, 1}, {100, -100});
  builder.Node("MatMulInteger", {"q", "w", "zero"}, {"sums"});
  builder.Node("Cast", {"sums"}, {"numbers"}).Attribute("to", int64_t{TensorProto::FLOAT});
  builder.Node("Mul", {"numbers", "scale"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {{0, 0}}).at(0), {0});
}

TEST(DynamicQuantizationTest, ConvolutionsPadWithTheZeroPointAndKnowZeroPointsByChannel) {
  OnnxBuilder builder(13);
  AddQuantized(builder, {1, 1, 2, 2});
  builder.Integers("w", TensorProto::UINT8, {2, 1, 3, 3}, {2, 2, 2, 2, 2, 2, 2, 2, 2, 9, 9, 9, 9, 8, 9, 9, 9, 9});
  builder.Integers("wz", TensorProto::UINT8, {2}, {1, 9});
  builder.Node("ConvInteger", {"q", "w", "zero", "wz"}, {"sums"}).Attribute("pads", {1, 1, 1, 1}).Named("conv");
  builder.Node("Cast", {"sums"}, {"y"}).Attribute("to", int64_t{TensorProto::FLOAT}).Output("y");
  // -50, 0, 150 and 205: their sum everywhere, and each one's negative.
  ExpectNear(RunModel(builder, {kPicture}).at(0), {305, 305, 305, 305, 50, 0, -150, -205});
}

TEST(DynamicQuantizationTest, TheIntegersThemselvesCanBeRead) {
  OnnxBuilder builder(13);
  AddQuantized(builder, {1, 4}).Ints("column", {4, 1}).Node("Reshape", {"q", "column"}, {"r"});
  builder.Node("Cast", {"r"}, {"y"}).Attribute("to", int64_t{TensorProto::FLOAT}).Output("y");
  builder.Node("DequantizeLinear", {"q", "scale", "zero"}, {"z"}).Output("z");
  builder.Node("Cast", {"zero"}, {"point"}).Attribute("to", int64_t{TensorProto::FLOAT});
  builder.Node("Add", {"point", "z"}, {"p"}).Output("p");
  const std::vector<Floats> y = RunModel(builder, {kPicture});
  ExpectNear(y.at(0), {0, 50, 200, 255});
  ExpectNear(y.at(1), kPicture);
  ExpectNear(y.at(2), {49, 50, 53, 54.1F});
}

TEST(DynamicQuantizationTest, IntegersOfAConstantScaleAreMultipliedToo) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2}).Weight("s", {}, {0.1F}).Integers("z", TensorProto::UINT8, {}, {100});
  builder.Node("QuantizeLinear", {"x", "s", "z"}, {"q"}).Integers("other", TensorProto::UINT8, {}, {90});
  builder.Integers("w", TensorProto::INT8, {2, 1}, {1, 2}).Node("MatMulInteger", {"q", "w", "other"}, {"sums"});
  builder.Node("Cast", {"sums"}, {"y"}).Attribute("to", int64_t{TensorProto::FLOAT}).Output("y");
  ExpectNear(RunModel(builder, {{0.7F, -0.3F}}).at(0), {17 + 2 * 7});
}

TEST(DynamicQuantizationTest, WhatCannotBeReadIsRefusedByName) {
  OnnxBuilder zero(13);
  AddQuantized(zero, {1, 2}).Integers("w", TensorProto::INT8, {2, 1}, {1, 2});
  zero.Node("MatMulInteger", {"q", "w"}, {"sums"}).Named("fc");
  zero.Node("Cast", {"sums"}, {"y"}).Attribute("to", int64_t{TensorProto::FLOAT}).Output("y");
  EXPECT_EQ(RefusalOf(zero), "node `fc` (MatMulInteger): reads `q` without the zero point that it was quantized with");
  OnnxBuilder channels(13);
  AddQuantized(channels, {1, 2}).Integers("w", TensorProto::INT8, {2, 1}, {1, 2});
  channels.Integers("zeros", TensorProto::INT8, {3}, {1, 2, 3});
  channels.Node("MatMulInteger", {"q", "w", "zero", "zeros"}, {"sums"}).Named("fc");
  channels.Node("Cast", {"sums"}, {"y"}).Attribute("to", int64_t{TensorProto::FLOAT}).Output("y");
  EXPECT_EQ(RefusalOf(channels), "node `fc` (MatMulInteger): 3 zero points do not fit axis 1 of shape [2,1]");
  OnnxBuilder constant(13);
  constant.Input("x", {1, 2}).Weight("w", {1, 2}).Node("DynamicQuantizeLinear", {"w"}, {"q", "scale", "zero"});
  constant.Node("Mul", {"x", "scale"}, {"y"}).Output("y");
  EXPECT_EQ(RefusalOf(constant), "node `q` (DynamicQuantizeLinear): an operator of constants alone is not supported");
  OnnxBuilder sums(13);
  AddQuantized(sums, {1, 2}).Integers("w", TensorProto::INT8, {2, 1}, {1, 2});
  sums.Node("MatMulInteger", {"q", "w", "zero"}, {"sums"}).Node("Neg", {"sums"}, {"y"}).Output("y");
  EXPECT_THAT(RefusalOf(sums), HasSubstr("node `y` (Neg): reads `sums`, which is quantized"));
  OnnxBuilder dequantize(13);
  AddQuantized(dequantize, {1, 2}).Integers("other", TensorProto::UINT8, {}, {3});
  dequantize.Node("DequantizeLinear", {"q", "scale", "other"}, {"y"}).Output("y");
  EXPECT_EQ(RefusalOf(dequantize),
            "node `y` (DequantizeLinear): reads `q` without the zero point that it was quantized with");
}

// Operators of onnxruntime's domain.
class RuntimeDomainTest : public ::testing::Test {
 protected:
  RuntimeDomainTest() {
    auto* import = builder_.proto().add_opset_import();
    import->set_domain("com.microsoft");
    import->set_version(1);
    // Steps of 0.5, 1 and 0.25.
    builder_.Weight("s", {}, {0.5F}).Weight("s1", {}, {1}).Weight("s2", {}, {0.25F});
    builder_.Integers("z", TensorProto::UINT8, {}, {100}).Integers("z0", TensorProto::INT8, {}, {0});
    builder_.Input("x", {1, 2, 1, 2}).Node("QuantizeLinear", {"x", "s", "z"}, {"q"});
  }

  OnnxBuilder& Own(const std::string& op, const std::vector<std::string>& inputs, const std::string& output) {
    builder_.Node(op, inputs, {output});
    auto* nodes = builder_.proto().mutable_graph()->mutable_node();
    nodes->Mutable(nodes->size() - 1)->set_domain("com.microsoft");
    return builder_;
  }

  // What the integers `name`, of scale `scale`, mean.
  Floats Meaning(const std::string& name, const std::string& scale) {
    builder_.Node("DequantizeLinear", {name, scale, "z"}, {"y"}).Output("y");
    const std::vector<Floats> y = RunModel(builder_, {{1, 2.1F, -3, 4}});
    return y.empty() ? Floats() : y[0];
  }

  OnnxBuilder builder_{12};
};

TEST_F(RuntimeDomainTest, SumsAreRoundedToTheirOwnScale) {
  Own("QLinearAdd", {"q", "s", "z", "q", "s", "z", "s1", "z"}, "sum").Named("add");
  ExpectNear(Meaning("sum", "s1"), {2, 4, -6, 8});
}

TEST_F(RuntimeDomainTest, ProductsWithConstants) {
  builder_.Integers("w", TensorProto::INT8, {2, 1, 1}, {1, -3});
  Own("QLinearMul", {"q", "s", "z", "w", "s", "z0", "s2", "z"}, "product");
  ExpectNear(Meaning("product", "s2"), {0.5F, 1, 4.5F, -6});
}

TEST_F(RuntimeDomainTest, PoolsAndFunctions) {
  Own("QLinearGlobalAveragePool", {"q", "s", "z", "s2", "z"}, "pool").Attribute("channels_last", int64_t{0});
  Own("QLinearLeakyRelu", {"pool", "s2", "z", "s2", "z"}, "leaky").Attribute("alpha", -1.0F);
  ExpectNear(Meaning("leaky", "s2"), {1.5F, 0.5F});
}

TEST_F(RuntimeDomainTest, AveragesAndSigmoids) {
  Own("QLinearAveragePool", {"q", "s", "z", "s2", "z"}, "pool").Attribute("kernel_shape", {1, 2});
  Own("QLinearSigmoid", {"pool", "s2", "z", "s2", "z"}, "sigmoid");
  ExpectNear(Meaning("sigmoid", "s2"), {0.75F, 0.5F});  // of 1.5 and 0.5: 0.82 and 0.62
}

TEST_F(RuntimeDomainTest, SoftmaxIsThatOfTheOperatorSetItNames) {
  Own("QLinearSoftmax", {"q", "s", "z", "s2", "z"}, "softmax").Attribute("axis", int64_t{3});
  builder_.Attribute("opset", int64_t{13});
  ExpectNear(Meaning("softmax", "s2"), {0.25F, 0.75F, 0, 1});  // 0.27, 0.73, 0.00 and 1.00
}

TEST_F(RuntimeDomainTest, SoftmaxOfOldOperatorSetsIsOverAllThatFollows) {
  Own("QLinearSoftmax", {"q", "s", "z", "s2", "z"}, "softmax").Attribute("axis", int64_t{1});
  builder_.Attribute("opset", int64_t{12});
  ExpectNear(Meaning("softmax", "s2"), {0, 0, 0, 0.75F});  // 0.04, 0.11, 0.00 and 0.84
}

TEST_F(RuntimeDomainTest, ConcatBringsItsOperandsToOneScale) {
  builder_.Node("MaxPool", {"q"}, {"max"}).Attribute("kernel_shape", {1, 2});
  Own("QLinearConcat", {"s1", "z", "max", "s", "z", "q", "s", "z"}, "joined").Attribute("axis", int64_t{3});
  ExpectNear(Meaning("joined", "s1"), {2, 1, 2, 4, -3, 4});
}

TEST_F(RuntimeDomainTest, GemmHasABiasInStepsOfItsOperands) {
  builder_.Node("Flatten", {"q"}, {"flat"}).Integers("w", TensorProto::INT8, {2, 4}, {2, 0, 0, 0, 0, 0, 0, 4});
  builder_.Weight("ws", {2}, {0.5F, 0.25F}).Integers("wz", TensorProto::INT8, {2}, {0, 0});
  builder_.Integers("b", TensorProto::INT32, {2}, {8, -8});
  Own("QGemm", {"flat", "s", "z", "w", "ws", "wz", "b", "s", "z"}, "fc").Attribute("transB", int64_t{1});
  ExpectNear(Meaning("fc", "s"), {1 + 2, 4 - 1});
}

TEST_F(RuntimeDomainTest, GemmWithoutAScaleOfItsOwnGivesNumbers) {
  builder_.Node("Flatten", {"q"}, {"flat"}).Integers("w", TensorProto::INT8, {4, 1}, {1, 0, 0, 1});
  Own("QGemm", {"flat", "s", "z", "w", "s2", "z0"}, "y").Output("y");
  ExpectNear(RunModel(builder_, {{1.3F, 0, 0, 4}}).at(0), {0.25F * 5.5F});
}

// As onnxruntime fuses what its quantize_dynamic wrote.
class FusedDynamicTest : public RuntimeDomainTest {
 protected:
  FusedDynamicTest() {
    builder_.Input("p", {1, 4}).Node("DynamicQuantizeLinear", {"p"}, {"pq", "ps", "pz"});
    builder_.Integers("w", TensorProto::UINT8, {4, 2}, {3, 4, 4, 4, 5, 4, 6, 5});
    builder_.Integers("wz", TensorProto::UINT8, {}, {4}).Weight("ws", {2}, {0.5F, 2}).Weight("bias", {2}, {1, -1});
  }
  // kPicture is -50, 0, 150 and 205 steps of 0.02, and the weights are -1 0, 0 0, 1 0 and 2 1.
  void ExpectScores(const Floats& scores) {
    const std::vector<Floats> y = RunModel(builder_.Output("y"), {{0, 0, 0, 0}, kPicture});
    ASSERT_FALSE(y.empty());
    ExpectNear(y[0], scores);
  }
};

TEST_F(FusedDynamicTest, ProductsOfIntegersAreScaled) {
  Own("MatMulIntegerToFloat", {"pq", "w", "ps", "ws", "pz", "wz"}, "y");
  ExpectScores({0.01F * (50 + 150 + 410), 0.04F * 205});
}

TEST_F(FusedDynamicTest, ProductsOfIntegersHaveABiasAndOneScale) {
  Own("MatMulIntegerToFloat", {"pq", "w", "ps", "s", "pz", "wz", "bias"}, "y").Named("fc");
  ExpectScores({1 + 0.01F * (50 + 150 + 410), -1 + 0.01F * 205});
  const absl::StatusOr<Graph> graph = ImportOnnx(builder_.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->nodes.back().name, "fc");
}

TEST_F(FusedDynamicTest, IntegersOfAConstantScaleAreScaledToo) {
  builder_.Ints("flat", {1, 4}).Node("Reshape", {"q", "flat"}, {"row"});
  Own("MatMulIntegerToFloat", {"row", "w", "s", "ws", "z", "wz"}, "y").Output("y");
  ExpectNear(RunModel(builder_, {{1, 2, -3, 4}, kPicture}).at(0), {0.5F * (-1 - 3 + 8), 2 * 4});
}

TEST_F(FusedDynamicTest, WhatIsMultipliedMayBeQuantizedOnTheWay) {
  Own("DynamicQuantizeMatMul", {"p", "w", "ws", "wz", "bias"}, "y").Named("fc");
  ExpectScores({1 + 0.01F * (50 + 150 + 410), -1 + 0.04F * 205});
}

TEST_F(FusedDynamicTest, WithoutAZeroPointWeightsAreAsTheyStand) {
  Own("DynamicQuantizeMatMul", {"p", "w", "s"}, "y");
  ExpectScores({0.01F * (-150 + 750 + 1230), 0.01F * (-200 + 600 + 1025)});
}

TEST_F(FusedDynamicTest, ScalesThatDoNotFitAndZeroPointsOfOthersAreRefused) {
  builder_.Weight("three", {3}, {1, 1, 1});
  Own("MatMulIntegerToFloat", {"pq", "w", "ps", "three", "pz", "wz"}, "y").Named("fc").Output("y");
  EXPECT_EQ(RefusalOf(builder_),
            "node `fc` (MatMulIntegerToFloat): a scale or bias of shape [3] does not fit a product of [1,2]");
  auto& node = *builder_.proto().mutable_graph()->mutable_node(2);
  node.set_input(3, "ws");
  node.set_input(4, "z");
  EXPECT_EQ(RefusalOf(builder_),
            "node `fc` (MatMulIntegerToFloat): reads `pq` without the zero point that it was quantized with");
}

TEST_F(FusedDynamicTest, OnlyFloatsAreQuantizedOnTheWay) {
  Own("DynamicQuantizeMatMul", {"pq", "w", "ws"}, "y").Named("fc").Output("y");
  EXPECT_THAT(RefusalOf(builder_), HasSubstr("node `fc` (DynamicQuantizeMatMul): reads `pq`, which is quantized"));
}

TEST_F(RuntimeDomainTest, UnknownAttributesAndLayoutsAreRefused) {
  Own("QLinearGlobalAveragePool", {"q", "s", "z", "s2", "z"}, "y").Attribute("channels_last", int64_t{1}).Output("y");
  EXPECT_EQ(RefusalOf(builder_), "node `y` (QLinearGlobalAveragePool): attribute `channels_last` is not supported");
  builder_.proto().mutable_graph()->mutable_node(1)->mutable_attribute(0)->set_name("layout");
  EXPECT_EQ(RefusalOf(builder_), "node `y` (QLinearGlobalAveragePool): attribute `layout` is not known");
}

}  // namespace
}  // namespace shoji::graph
