// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Operators that onnxruntime's optimizer fuses.

#include <onnx/onnx_pb.h>

#include <cmath>
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
using ::testing::HasSubstr;

// The last node is of onnxruntime's domain.
OnnxBuilder& Runtime(OnnxBuilder& builder, const std::string& domain = "com.microsoft") {
  auto* nodes = builder.proto().mutable_graph()->mutable_node();
  nodes->Mutable(nodes->size() - 1)->set_domain(domain);
  return builder;
}

void AddImport(OnnxBuilder& builder, const std::string& domain = "com.microsoft") {
  auto* import = builder.proto().add_opset_import();
  import->set_domain(domain);
  import->set_version(1);
}

void AddFloats(OnnxBuilder& builder, const std::string& name, const Floats& values) {
  auto* nodes = builder.proto().mutable_graph()->mutable_node();
  ::onnx::AttributeProto& attribute = *nodes->Mutable(nodes->size() - 1)->add_attribute();
  attribute.set_name(name);
  attribute.set_type(::onnx::AttributeProto::FLOATS);
  attribute.mutable_floats()->Assign(values.begin(), values.end());
}

std::string RefusalOf(const OnnxBuilder& builder) {
  return std::string(ImportOnnx(builder.Build()).status().message());
}

struct FunctionCase {
  std::string name;
  Floats parameters;
  Floats expected;  // of -2, 0.25 and 8
};

TEST(FusedOperatorsTest, ConvolutionsEndWithTheirActivation) {
  const std::vector<FunctionCase> cases = {
      {"Relu", {}, {0, 0.25F, 8}},
      {"LeakyRelu", {0.5F}, {-1, 0.25F, 8}},
      {"LeakyRelu", {}, {-0.02F, 0.25F, 8}},
      {"Clip", {-1, 6}, {-1, 0.25F, 6}},
      {"HardSigmoid", {0.1F, 0.3F}, {0.1F, 0.325F, 1}},
      {"Tanh", {}, {std::tanh(-2.0F), std::tanh(0.25F), std::tanh(8.0F)}},
      {"Sigmoid", {}, {1 / (1 + std::exp(2.0F)), 1 / (1 + std::exp(-0.25F)), 1 / (1 + std::exp(-8.0F))}},
  };
  for (const FunctionCase& c : cases) {
    OnnxBuilder builder;
    AddImport(builder);
    builder.Input("x", {1, 1, 1, 3}).Weight("w", {1, 1, 1, 1}, {2}).Weight("b", {1}, {-1});
    Runtime(builder.Node("FusedConv", {"x", "w", "b"}, {"y"}).TextAttribute("activation", c.name)).Output("y");
    if (!c.parameters.empty()) {
      AddFloats(builder, "activation_params", c.parameters);
    }
    ExpectNear(RunModel(builder, {{-0.5F, 0.625F, 4.5F}}).at(0), c.expected);
  }
}

TEST(FusedOperatorsTest, AResidualIsAddedBeforeTheActivation) {
  OnnxBuilder builder;
  AddImport(builder);
  builder.Input("x", {1, 1, 1, 2}).Weight("w", {1, 1, 1, 1}, {2});
  Runtime(builder.Node("FusedConv", {"x", "w", "", "x"}, {"y"}).Named("block").TextAttribute("activation", "Relu"));
  builder.Output("y");
  ExpectNear(RunModel(builder, {{-1, 3}}).at(0), {0, 9});
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(FindNode(*graph, "block").value(), 0U) << "the name means all its steps";
}

TEST(FusedOperatorsTest, ProductsEndWithTheirActivation) {
  OnnxBuilder builder;
  AddImport(builder);
  builder.Input("x", {1, 2}).Weight("w", {3, 2}, {1, 0, 0, 1, -1, -1}).Weight("c", {3}, {0, 0, 1});
  Runtime(builder.Node("FusedGemm", {"x", "w", "c"}, {"y"}).Attribute("transB", int64_t{1}));
  builder.TextAttribute("activation", "LeakyRelu").Attribute("activation_alpha", 0.5F).Output("y");
  ExpectNear(RunModel(builder, {{2, 3}}).at(0), {2, 3, -2});
}

TEST(FusedOperatorsTest, ProductsTakeTheirFactorAndTransposedOperands) {
  OnnxBuilder builder;
  AddImport(builder);
  builder.Input("x", {1, 3, 2}).Weight("w", {4, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1});
  Runtime(builder.Node("FusedMatMul", {"x", "w"}, {"y"}).Attribute("transA", int64_t{1}));
  builder.Attribute("transB", int64_t{1}).Attribute("alpha", 0.5F).Output("y");
  ExpectNear(RunModel(builder, {{1, 2, 3, 4, 5, 6}}).at(0), {0.5F, 1.5F, 2.5F, 4.5F, 1, 2, 3, 6});
}

TEST(FusedOperatorsTest, GelusAreTheirFormulas) {
  const Floats x = Spread(8, -3, 3);
  Floats exact;
  Floats shifted;
  Floats fast;
  Floats quick;
  for (const float v : x) {
    const auto gelu = [](float u) { return u / 2 * (1 + std::erf(u / std::sqrt(2.0F))); };
    exact.push_back(gelu(v));
    shifted.push_back(gelu(v + 1));
    const float u = v + 1;
    fast.push_back(u / 2 * (1 + std::tanh(std::sqrt(2.0F / 3.14159265F) * (u + 0.044715F * u * u * u))));
    quick.push_back(v / (1 + std::exp(-1.5F * v)));
  }
  OnnxBuilder builder;
  AddImport(builder);
  builder.Input("x", {2, 4}).Weight("ones", {4}, {1, 1, 1, 1});
  Runtime(builder.Node("Gelu", {"x"}, {"a"}));
  Runtime(builder.Node("BiasGelu", {"x", "ones"}, {"b"}));
  Runtime(builder.Node("FastGelu", {"x", "ones"}, {"c"}));
  Runtime(builder.Node("QuickGelu", {"x"}, {"d"}).Attribute("alpha", 1.5F));
  builder.Output("a").Output("b").Output("c").Output("d");
  const std::vector<Floats> y = RunModel(builder, {x});
  ExpectNear(y.at(0), exact, 1e-4F);
  ExpectNear(y.at(1), shifted, 1e-4F);
  ExpectNear(y.at(2), fast, 1e-4F);
  ExpectNear(y.at(3), quick, 1e-4F);
}

TEST(FusedOperatorsTest, LayerNormalizationIsKnownInOperatorSetsThatHaveNone) {
  for (const int64_t opset : {11, 14, 16, 17, 18}) {
    for (const bool imported : {true, false}) {
      OnnxBuilder builder(opset);
      if (imported) {
        AddImport(builder);
      }
      builder.Input("x", {1, 2}).Weight("w", {2}, {2, 3}).Weight("b", {2}, {0, 1});
      builder.Node("LayerNormalization", {"x", "w", "b"}, {"y"}).Attribute("epsilon", 0.0F).Output("y");
      ExpectNear(RunModel(builder, {{5, 9}}).at(0), {-2, 4});
    }
  }
}

TEST(FusedOperatorsTest, LayerNormalizationMayTakeNoMeanAway) {
  for (const int64_t opset : {13, 17, 18}) {
    OnnxBuilder builder(opset);
    builder.Input("x", {1, 2}).Weight("w", {2}, {2, 5});
    builder.Node("SimplifiedLayerNormalization", {"x", "w"}, {"y"}).Attribute("epsilon", 0.0F).Output("y");
    ExpectNear(RunModel(builder, {{1, 7}}).at(0), {0.4F, 7});
  }
  OnnxBuilder biased;
  biased.Input("x", {1, 2}).Weight("w", {2}, {2, 5}).Weight("b", {2});
  biased.Node("SimplifiedLayerNormalization", {"x", "w", "b"}, {"y"}).Named("n").Output("y");
  EXPECT_THAT(RefusalOf(biased), HasSubstr("more than two inputs"));
}

TEST(FusedOperatorsTest, LayerNormalizationOfASumGivesTheSumToo) {
  OnnxBuilder builder;
  AddImport(builder);
  builder.Input("x", {1, 1, 2}).Input("s", {1, 1, 2}).Weight("w", {2}, {2, 3}).Weight("b", {2}, {0, 1});
  builder.Weight("c", {2}, {10, 0}).Node("SkipLayerNormalization", {"x", "s", "w", "b"}, {"y"});
  Runtime(builder.Attribute("epsilon", 0.0F)).Output("y");
  Runtime(builder.Node("SkipLayerNormalization", {"x", "s", "w", "", "c"}, {"z", "", "", "t"}).Named("n"));
  builder.Attribute("epsilon", 0.0F).Output("z").Output("t");
  const std::vector<Floats> y = RunModel(builder, {{2, 3}, {3, 6}});
  ExpectNear(y.at(0), {-2, 4});
  ExpectNear(y.at(1), {2, -3});
  ExpectNear(y.at(2), {15, 9});
  OnnxBuilder channels;
  AddImport(channels);
  channels.Input("x", {1, 2}).Weight("w", {1});
  Runtime(channels.Node("SkipLayerNormalization", {"x", "x", "w"}, {"y"}).Named("n")).Output("y");
  EXPECT_THAT(RefusalOf(channels),
              HasSubstr("node `n` (SkipLayerNormalization): a parameter of shape [1] does not fit"));
  OnnxBuilder sum;
  AddImport(sum);
  sum.Input("x", {1, 2}).Input("s", {3, 2}).Weight("w", {2});
  Runtime(sum.Node("SkipLayerNormalization", {"x", "s", "w"}, {"y"}).Named("n")).Output("y");
  EXPECT_THAT(RefusalOf(sum), HasSubstr("an input of shape [1,2] does not fit a sum of shape [3,2]"));
}

TEST(FusedOperatorsTest, WhatDoesNotFitIsRefusedByName) {
  OnnxBuilder unknown;
  AddImport(unknown);
  unknown.Input("x", {1, 1, 1, 2}).Weight("w", {1, 1, 1, 1});
  Runtime(unknown.Node("FusedConv", {"x", "w"}, {"y"}).Named("n").TextAttribute("activation", "Sine")).Output("y");
  EXPECT_THAT(RefusalOf(unknown), HasSubstr("node `n` (FusedConv): attribute `activation` is `Sine`"));
  OnnxBuilder many;
  AddImport(many);
  many.Input("x", {1, 1, 1, 2}).Weight("w", {1, 1, 1, 1});
  Runtime(many.Node("FusedConv", {"x", "w"}, {"y"}).Named("n").TextAttribute("activation", "Relu")).Output("y");
  AddFloats(many, "activation_params", {1});
  EXPECT_THAT(RefusalOf(many), HasSubstr("node `n` (FusedConv): 1 parameters for the activation Relu"));
  OnnxBuilder residual;
  AddImport(residual);
  residual.Input("x", {1, 1, 1, 2}).Weight("w", {1, 1, 1, 1}).Weight("z", {1, 1, 1, 1});
  Runtime(residual.Node("FusedConv", {"x", "w", "", "z"}, {"y"}).Named("n").TextAttribute("activation", "Relu"));
  EXPECT_THAT(RefusalOf(residual.Output("y")),
              HasSubstr("node `n` (FusedConv): its input 3 has shape [1,1,1,1], its result [1,1,1,2]"));
  OnnxBuilder batch;
  AddImport(batch);
  batch.Input("x", {2, 2, 2}).Node("FusedMatMul", {"x", "x"}, {"y"}).Named("n");
  Runtime(batch.Attribute("transBatchA", int64_t{1})).Output("y");
  EXPECT_THAT(RefusalOf(batch), HasSubstr("node `n` (FusedMatMul): attribute `transBatchA` is not supported"));
  OnnxBuilder layer(14);
  layer.Input("x", {1, 2}).Weight("w", {2}).Node("LayerNormalization", {"x", "w"}, {"y"}).Named("n");
  EXPECT_THAT(RefusalOf(layer.Attribute("width", int64_t{2}).Output("y")),
              HasSubstr("node `n` (LayerNormalization): attribute `width` is not known"));
  OnnxBuilder blocked;
  AddImport(blocked, "com.microsoft.nchwc");
  blocked.Input("x", {1, 8, 2, 2}).Node("ReorderInput", {"x"}, {"y"}).Named("n");
  Runtime(blocked, "com.microsoft.nchwc").Output("y");
  EXPECT_THAT(RefusalOf(blocked),
              HasSubstr("node `n` (ReorderInput): the operator of the domain `com.microsoft.nchwc` is not supported; "
                        "onnxruntime saved the model for machines of one kind"));
}

}  // namespace
}  // namespace shoji::graph
