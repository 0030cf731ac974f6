// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Functions of elements and of pairs of elements, against their definitions in double precision.

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/unit/lib/graph/run_model.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;

struct Case {
  std::string name;
  std::string op_type;
  std::vector<std::pair<std::string, float>> attributes;
  std::function<double(double)> function;
  int64_t opset = 14;
  float low = -3;
  float high = 3;
};

double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

std::vector<Case> Cases() {
  return {
      {"Elu", "Elu", {{"alpha", 0.5F}}, [](double x) { return x < 0 ? 0.5 * std::expm1(x) : x; }},
      {"Selu",
       "Selu",
       {{"alpha", 1.5F}, {"gamma", 2.0F}},
       [](double x) { return 2 * (x < 0 ? 1.5 * std::expm1(x) : x); }},
      {"SeluDefaults", "Selu", {}, [](double x) { return 1.05070098 * (x < 0 ? 1.67326324 * std::expm1(x) : x); }},
      {"Celu",
       "Celu",
       {{"alpha", 0.5F}},
       [](double x) { return std::max(x, 0.0) + std::min(0.0, 0.5 * std::expm1(x / 0.5)); }},
      {"CeluOfOne", "Celu", {}, [](double x) { return x < 0 ? std::expm1(x) : x; }},
      {"Softplus", "Softplus", {}, Softplus},
      {"SoftplusOfLargeValues", "Softplus", {}, Softplus, 14, -200, 200},
      {"Softsign", "Softsign", {}, [](double x) { return x / (1 + std::abs(x)); }},
      {"ThresholdedRelu", "ThresholdedRelu", {{"alpha", 0.75F}}, [](double x) { return x > 0.75 ? x : 0; }},
      {"Erf", "Erf", {}, [](double x) { return std::erf(x); }},
      {"Abs", "Abs", {}, [](double x) { return std::abs(x); }},
      {"Neg", "Neg", {}, [](double x) { return -x; }},
      {"Exp", "Exp", {}, [](double x) { return std::exp(x); }},
      {"Log", "Log", {}, [](double x) { return std::log(x); }, 14, 0.1F, 9},
      {"Sqrt", "Sqrt", {}, [](double x) { return std::sqrt(x); }, 14, 0, 9},
      {"Reciprocal", "Reciprocal", {}, [](double x) { return 1 / x; }, 14, 0.5F, 4},
      {"Floor", "Floor", {}, [](double x) { return std::floor(x); }},
      {"Ceil", "Ceil", {}, [](double x) { return std::ceil(x); }},
      {"RoundToEven", "Round", {}, [](double x) { return std::nearbyint(x); }, 14, -25, 25},
      {"Sign", "Sign", {}, [](double x) { return x > 0   ? 1
                                                 : x < 0 ? -1
                                                         : 0; }},
      {"Mish", "Mish", {}, [](double x) { return x * std::tanh(Softplus(x)); }, 18},
      {"Gelu", "Gelu", {}, [](double x) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))); }, 20},
  };
}

class FunctionTest : public ::testing::TestWithParam<Case> {};

TEST_P(FunctionTest, IsWhatItsDefinitionSays) {
  const Case& c = GetParam();
  OnnxBuilder builder(c.opset);
  builder.Input("x", {1, 5, 4, 3}).Node(c.op_type, {"x"}, {"y"});
  for (const auto& [name, value] : c.attributes) {
    builder.Attribute(name, value);
  }
  const Floats x = Spread(60, c.low, c.high);
  Floats expected;
  for (const float value : x) {
    expected.push_back(static_cast<float>(c.function(static_cast<double>(value))));
  }
  const std::vector<Floats> y = RunModel(builder.Output("y"), {x});
  ASSERT_EQ(y.size(), 1U);
  ExpectNear(y[0], expected);
}

INSTANTIATE_TEST_SUITE_P(Functions, FunctionTest, ::testing::ValuesIn(Cases()),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(ElementwiseOperatorsTest, GeluByTanhIsTheApproximation) {
  OnnxBuilder builder(20);
  builder.Input("x", {1, 40}).Node("Gelu", {"x"}, {"y"}).TextAttribute("approximate", "tanh").Output("y");
  const Floats x = Spread(40);
  Floats expected;
  for (const float value : x) {
    expected.push_back(value * 0.5F * (1 + std::tanh(0.79788456F * (value + 0.044715F * value * value * value))));
  }
  ExpectNear(RunModel(builder, {x}).at(0), expected);
}

TEST(ElementwiseOperatorsTest, MaxMinSumAndMeanTakeAnyNumberOfOperands) {
  OnnxBuilder builder(13);
  builder.Input("a", {1, 4}).Input("b", {1, 4}).Weight("c", {4}, {0, 3, -1, 2});
  for (const char* op : {"Max", "Min", "Sum", "Mean"}) {
    builder.Node(op, {"a", "b", "c"}, {op}).Output(op);
  }
  const std::vector<Floats> y = RunModel(builder, {{1, 2, 3, 4}, {4, 3, 2, 1}});
  ExpectNear(y.at(0), {4, 3, 3, 4});
  ExpectNear(y.at(1), {0, 2, -1, 1});
  ExpectNear(y.at(2), {5, 8, 4, 7});
  ExpectNear(y.at(3), {5.0F / 3, 8.0F / 3, 4.0F / 3, 7.0F / 3});
}

TEST(ElementwiseOperatorsTest, MaxAndMinWithOneNumberBecomeAClip) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Weight("six", {}, {6}).Weight("zero", {1}, {0});
  builder.Node("Max", {"zero", "x"}, {"positive"}).Node("Min", {"positive", "six"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->nodes.at(0).op, Op::kClip);
  EXPECT_EQ(graph->nodes.at(1).op, Op::kClip);
  ExpectNear(RunModel(builder, {{-1, 3, 7}}).at(0), {0, 3, 6});
}

TEST(ElementwiseOperatorsTest, NumbersAmongManyOperandsBoundToo) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Input("z", {1, 3}).Weight("two", {}, {2}).Node("Max", {"x", "two", "z"}, {"y"});
  ExpectNear(RunModel(builder.Output("y"), {{0, 5, 1}, {1, 1, 4}}).at(0), {2, 5, 4});
}

TEST(ElementwiseOperatorsTest, PowersByWholeAndOtherExponents) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 3}).Weight("half", {}, {0.5F}).Weight("two", {1}, {2}).Weight("other", {}, {1.25F});
  builder.Integers("three", 7, {}, {3}).Weight("each", {3}, {0, 1, 2});
  for (const char* exponent : {"half", "two", "other", "three", "each"}) {
    builder.Node("Pow", {"x", exponent}, {std::string("y_") + exponent}).Output(std::string("y_") + exponent);
  }
  const std::vector<Floats> y = RunModel(builder, {{1, 4, 9}});
  ExpectNear(y.at(0), {1, 2, 3});
  ExpectNear(y.at(1), {1, 16, 81});
  ExpectNear(y.at(2), {1, 5.65685425F, 15.5884573F});
  ExpectNear(y.at(3), {1, 64, 729});
  ExpectNear(y.at(4), {1, 4, 81});
}

TEST(ElementwiseOperatorsTest, PReluSlopesAreOneNumberOrOneAChannel) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2, 1, 2}).Weight("one", {1}, {0.5F}).Weight("each", {2, 1, 1}, {0.1F, 10});
  builder.Node("PRelu", {"x", "one"}, {"a"}).Node("PRelu", {"x", "each"}, {"b"}).Output("a").Output("b");
  const std::vector<Floats> y = RunModel(builder, {{-1, 2, -3, 4}});
  ExpectNear(y.at(0), {-0.5F, 2, -1.5F, 4});
  ExpectNear(y.at(1), {-0.1F, 2, -30, 4});
}

TEST(ElementwiseOperatorsTest, PReluSlopeThatWidensTheInputIsRefused) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 1, 2}).Weight("slope", {3, 1}).Node("PRelu", {"x", "slope"}, {"y"}).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  EXPECT_EQ(graph.status().message(),
            "node `y` (PRelu): a slope of shape [3,1] does not fit an input of shape [1,1,2]");
}

TEST(ElementwiseOperatorsTest, FunctionsOfConstantsAreFolded) {
  OnnxBuilder builder(13);
  builder.Input("x", {1, 2}).Weight("v", {2}, {3, 8}).Weight("e", {}, {1});
  builder.Node("Add", {"v", "e"}, {"sum"}).Node("Sqrt", {"sum"}, {"root"}).Node("Mul", {"x", "root"}, {"y"});
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Output("y").Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(graph->nodes.size(), 1U);
  ExpectNear(RunModel(builder, {{1, 10}}).at(0), {2, 30});
}

}  // namespace
}  // namespace shoji::graph
