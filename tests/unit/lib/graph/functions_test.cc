// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Models with functions of their own.

#include <onnx/onnx_pb.h>

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
using Names = std::vector<std::string>;

// A function of `builder`'s model, of the domain "own".
::onnx::FunctionProto& AddFunction(OnnxBuilder& builder, const std::string& name, const Names& inputs,
                                   const Names& outputs, int64_t opset = 13) {
  ::onnx::FunctionProto& function = *builder.proto().add_functions();
  function.set_domain("own");
  function.set_name(name);
  function.mutable_input()->Assign(inputs.begin(), inputs.end());
  function.mutable_output()->Assign(outputs.begin(), outputs.end());
  auto* import = function.add_opset_import();
  import->set_domain("");
  import->set_version(opset);
  return function;
}

::onnx::NodeProto& AddStep(::onnx::FunctionProto& function, const std::string& op_type, const Names& inputs,
                           const Names& outputs) {
  ::onnx::NodeProto& node = *function.add_node();
  node.set_op_type(op_type);
  node.mutable_input()->Assign(inputs.begin(), inputs.end());
  node.mutable_output()->Assign(outputs.begin(), outputs.end());
  return node;
}

void SetFloat(::onnx::AttributeProto& attribute, const std::string& name, float value) {
  attribute.set_name(name);
  attribute.set_type(::onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
}

// An attribute of `node` that takes the value of `from`, one of the function's.
void Refer(::onnx::NodeProto& node, const std::string& name, const std::string& from) {
  ::onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(::onnx::AttributeProto::FLOAT);
  attribute.set_ref_attr_name(from);
}

// The last node calls a function of "own".
OnnxBuilder& Own(OnnxBuilder& builder, const std::string& domain = "own") {
  auto* nodes = builder.proto().mutable_graph()->mutable_node();
  nodes->Mutable(nodes->size() - 1)->set_domain(domain);
  return builder;
}

// Fields that the installed libonnx does not know: as files have them.
void AddUnknown(::google::protobuf::Message& message, int number, const std::string& bytes) {
  message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(number, bytes);
}
constexpr int kOverloadOfNode = 8;
constexpr int kDefaults = 11;
constexpr int kOverloadOfFunction = 13;

void AddImport(OnnxBuilder& builder, const std::string& domain) {
  auto* import = builder.proto().add_opset_import();
  import->set_domain(domain);
  import->set_version(1);
}

void ExpectRefused(const OnnxBuilder& builder, absl::StatusCode code, const std::string& text,
                   const ImportOptions& options = {}) {
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build(), options);
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().code(), code) << graph.status();
  EXPECT_THAT(std::string(graph.status().message()), HasSubstr(text));
}

Names NodeNames(const Graph& graph) {
  Names names;
  for (const Node& node : graph.nodes) {
    names.push_back(node.name);
  }
  return names;
}

// y = leaky(x) * 2 + b, called twice.
OnnxBuilder& AddScaled(OnnxBuilder& builder) {
  ::onnx::FunctionProto& function = AddFunction(builder, "Scaled", {"x", "b"}, {"y"});
  AddStep(function, "LeakyRelu", {"x"}, {"relu"}).set_name("act");
  ::onnx::NodeProto& two = AddStep(function, "Constant", {}, {"two"});
  SetFloat(*two.add_attribute(), "value_float", 2);
  AddStep(function, "Mul", {"relu", "two"}, {"twice"});
  AddStep(function, "Add", {"twice", "b"}, {"y"}).set_name("sum");
  AddImport(builder, "own");
  return builder;
}

TEST(FunctionsTest, CallsAreReplacedByTheFunctionsNodes) {
  OnnxBuilder builder;
  AddScaled(builder).Input("x", {1, 2}).Weight("b1", {2}, {1, 2}).Weight("b2", {2}, {-20, -10});
  Own(builder.Node("Scaled", {"x", "b1"}, {"h"}).Named("one"));
  Own(builder.Node("Scaled", {"h", "b2"}, {"y"}).Named("two")).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(NodeNames(*graph), ElementsAre("one/act", "one/twice", "one/sum", "two/act", "two/twice", "two/sum"));
  EXPECT_TRUE(graph->notes.empty());
  ExpectNear(RunModel(builder, {{3, -100}}).at(0), {-6, -10 + 2 * 0.01F * (-2 + 2)});
}

TEST(FunctionsTest, TheNameOfACallStandsForAllItsNodes) {
  OnnxBuilder builder;
  AddScaled(builder).Input("x", {1, 2}).Weight("b", {2}, {1, 2}).Node("Relu", {"x"}, {"r"}).Named("first");
  Own(builder.Node("Scaled", {"r", "b"}, {"h"}).Named("call")).Node("Neg", {"h"}, {"y"}).Named("last").Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_EQ(FindNode(*graph, "call").value(), 1U);
  EXPECT_EQ(FindAfter(*graph, "call").value(), 4U);
  EXPECT_EQ(FindNode(*graph, "call/sum").value(), 3U);
}

TEST(FunctionsTest, AttributesComeFromTheCallOrTheDefaultOrAreLeftOut) {
  OnnxBuilder builder;
  ::onnx::FunctionProto& function = AddFunction(builder, "Leaky", {"x"}, {"y"});
  function.add_attribute("slope");
  Refer(AddStep(function, "LeakyRelu", {"x"}, {"h"}), "alpha", "slope");
  Refer(AddStep(function, "LeakyRelu", {"h"}, {"y"}), "alpha", "second");
  ::onnx::AttributeProto second;
  SetFloat(second, "second", 0.5F);
  AddUnknown(function, kDefaults, second.SerializeAsString());
  AddImport(builder, "own");
  builder.Input("x", {1, 1});
  Own(builder.Node("Leaky", {"x"}, {"a"}).Attribute("slope", 0.1F));
  Own(builder.Node("Leaky", {"x"}, {"b"}).Attribute("second", 1.0F));
  builder.Output("a").Output("b");
  const std::vector<Floats> y = RunModel(builder, {{-100}});
  ExpectNear(y.at(0), {-5});  // 0.1 from the call, 0.5 by default
  ExpectNear(y.at(1), {-1});  // LeakyRelu's own 0.01
}

TEST(FunctionsTest, FunctionsCallFunctionsOfOtherDomains) {
  OnnxBuilder builder;
  ::onnx::FunctionProto& outer = AddFunction(builder, "Outer", {"x"}, {"y"});
  outer.add_attribute("slope");
  ::onnx::NodeProto& inner_call = AddStep(outer, "Inner", {"x"}, {"h"});
  inner_call.set_domain("other.lib");
  inner_call.set_name("n0");
  Refer(inner_call, "alpha", "slope");
  AddStep(outer, "Neg", {"h"}, {"y"}).set_name("n1");
  ::onnx::FunctionProto& inner = AddFunction(builder, "Inner", {"x"}, {"out"});
  inner.set_domain("other.lib");
  inner.add_attribute("alpha");
  Refer(AddStep(inner, "LeakyRelu", {"x"}, {"out"}), "alpha", "alpha");
  AddImport(builder, "own");
  AddImport(builder, "other.lib");
  Own(builder.Input("x", {1, 1}).Node("Outer", {"x"}, {"y"}).Named("m").Attribute("slope", 0.25F)).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(NodeNames(*graph), ElementsAre("m/n0/out", "m/n1"));
  ExpectNear(RunModel(builder, {{-8}}).at(0), {2});
}

TEST(FunctionsTest, OverloadsAreFunctionsOfTheirOwn) {
  OnnxBuilder builder;
  AddStep(AddFunction(builder, "F", {"x"}, {"y"}), "Neg", {"x"}, {"y"});
  ::onnx::FunctionProto& other = AddFunction(builder, "F", {"x"}, {"y"});
  AddStep(other, "Relu", {"x"}, {"y"});
  AddUnknown(other, kOverloadOfFunction, "relu");
  AddImport(builder, "own");
  Own(builder.Input("x", {1, 1}).Node("F", {"x"}, {"a"}));
  Own(builder.Node("F", {"x"}, {"b"}));
  AddUnknown(*builder.proto().mutable_graph()->mutable_node(1), kOverloadOfNode, "relu");
  builder.Output("a").Output("b");
  const std::vector<Floats> y = RunModel(builder, {{-3}});
  ExpectNear(y.at(0), {3});
  ExpectNear(y.at(1), {0});
}

TEST(FunctionsTest, MissingInputsAndOutputsAreLeftOut) {
  OnnxBuilder builder;
  ::onnx::FunctionProto& function = AddFunction(builder, "Layer", {"x", "w", "bias"}, {"y", "unused", "same"});
  ::onnx::NodeProto& gemm = AddStep(function, "Gemm", {"x", "w", "bias"}, {"y"});
  gemm.set_name("gemm");
  AddStep(function, "Neg", {"y"}, {"unused"});
  function.set_output(2, "x");
  AddImport(builder, "own");
  builder.Input("x", {1, 2}).Weight("w", {2, 1}, {1, 2}).Weight("b", {1}, {10});
  Own(builder.Node("Layer", {"x", "w"}, {"a"}).Named("bare"));
  Own(builder.Node("Layer", {"x", "w", "b"}, {"", "negative", "copy"}).Named("full"));
  builder.Node("Add", {"copy", "negative"}, {"c"}).Output("a").Output("c");
  const std::vector<Floats> y = RunModel(builder, {{1, 3}});
  ExpectNear(y.at(0), {7});
  ExpectNear(y.at(1), {1 - 17, 3 - 17});
}

TEST(FunctionsTest, InventedNamesKeepClearOfTheFiles) {
  OnnxBuilder builder;
  AddStep(AddFunction(builder, "Twice", {"x"}, {"y"}), "Neg", {"x"}, {"h"}).set_name("n");
  AddStep(*builder.proto().mutable_functions(0), "Neg", {"h"}, {"y"}).set_name("n");
  AddImport(builder, "own");
  builder.Input("x", {1, 1}).Node("Relu", {"x"}, {"f/h"}).Named("f/n");
  Own(builder.Node("Twice", {"f/h"}, {"y"}).Named("f")).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(NodeNames(*graph), ElementsAre("f/n", "f/n_2", "f/n_3"));
  ExpectNear(RunModel(builder, {{5}}).at(0), {5});
}

TEST(FunctionsTest, LargeConstantsOfAFunctionReachEveryCall) {
  OnnxBuilder builder(18);
  ::onnx::FunctionProto& function = AddFunction(builder, "Shift", {"x"}, {"y"}, 18);
  ::onnx::AttributeProto& value = *AddStep(function, "Constant", {}, {"c"}).add_attribute();
  value.set_name("value");
  value.set_type(::onnx::AttributeProto::TENSOR);
  value.mutable_t()->set_data_type(::onnx::TensorProto::FLOAT);
  value.mutable_t()->add_dims(1000);
  const Floats constant = Spread(1000, -1, 1);
  value.mutable_t()->set_raw_data(constant.data(), constant.size() * sizeof(float));
  AddStep(function, "Add", {"x", "c"}, {"y"});
  AddImport(builder, "own");
  builder.Input("x", {1, 1000});
  Own(builder.Node("Shift", {"x"}, {"h"}));
  Own(builder.Node("Shift", {"h"}, {"y"})).Output("y");
  Floats expected;
  for (const float c : constant) {
    expected.push_back(1 + 2 * c);
  }
  ExpectNear(RunModel(builder, {Floats(1000, 1)}).at(0), expected);
}

TEST(FunctionsTest, MetadataOfNodesIsNoBurden) {
  OnnxBuilder builder(18);
  ::onnx::FunctionProto& function = AddFunction(builder, "F", {"x"}, {"y"}, 18);
  ::onnx::NodeProto& step = AddStep(function, "Neg", {"x"}, {"y"});
  AddUnknown(step, 9, std::string(4 << 20, 's'));
  AddImport(builder, "own");
  Own(builder.Input("x", {1, 1}).Node("F", {"x"}, {"y"})).Output("y");
  AddUnknown(*builder.proto().mutable_graph()->mutable_node(0), 9, std::string(4 << 20, 't'));
  EXPECT_TRUE(ImportOnnx(builder.Build()).ok());
}

TEST(FunctionsTest, RecursionIsRefusedByName) {
  OnnxBuilder builder;
  for (const auto& [name, called] : {std::pair("A", "B"), std::pair("B", "A")}) {
    ::onnx::NodeProto& call = AddStep(AddFunction(builder, name, {"x"}, {"y"}), called, {"x"}, {"y"});
    call.set_domain("own");
    call.set_name("n");
  }
  AddImport(builder, "own");
  Own(builder.Input("x", {1, 1}).Node("A", {"x"}, {"y"}).Named("loop")).Output("y");
  ExpectRefused(builder, absl::StatusCode::kInvalidArgument, "node `loop/n/n` (A): function `own.A` calls itself");
}

// Each function calls the one before it twenty times.
OnnxBuilder& AddTower(OnnxBuilder& builder, int levels, bool empty) {
  ::onnx::FunctionProto& ground = AddFunction(builder, "F0", {"x"}, {"y"});
  if (!empty) {
    AddStep(ground, "Neg", {"x"}, {"y"});
  }
  for (int level = 1; level <= levels; ++level) {
    ::onnx::FunctionProto& function = AddFunction(builder, "F" + std::to_string(level), {"x"}, {"y"});
    for (int i = 0; i < 20; ++i) {
      AddStep(function, "F" + std::to_string(level - 1), {"x"}, {"y" + std::to_string(i)}).set_domain("own");
    }
  }
  AddImport(builder, "own");
  return builder.Input("x", {1, 1}).Node("F" + std::to_string(levels), {"x"}, {"y"}).Named("tower").Output("y");
}

TEST(FunctionsTest, SmallFilesDoNotBecomeLargeGraphs) {
  OnnxBuilder builder;
  Own(AddTower(builder, 12, false));
  ExpectRefused(builder, absl::StatusCode::kResourceExhausted,
                "function `own.F0`: replacing the model's calls of functions by their nodes makes more than 20000 "
                "nodes");
  OnnxBuilder nothing;
  Own(AddTower(nothing, 12, true));
  ExpectRefused(nothing, absl::StatusCode::kResourceExhausted, "makes more than 20000 nodes");
}

TEST(FunctionsTest, CopiesOfConstantsAreBounded) {
  OnnxBuilder builder;
  ::onnx::FunctionProto& function = AddFunction(builder, "Big", {"x"}, {"y"});
  ::onnx::AttributeProto& value = *AddStep(function, "Constant", {}, {"c"}).add_attribute();
  value.set_name("value");
  value.set_type(::onnx::AttributeProto::TENSOR);
  value.mutable_t()->set_data_type(::onnx::TensorProto::FLOAT);
  value.mutable_t()->add_dims(1 << 18);
  value.mutable_t()->set_raw_data(std::string(1 << 20, '\0'));
  AddStep(function, "Add", {"x", "c"}, {"y"});
  AddImport(builder, "own");
  builder.Input("x", {1, 1});
  for (int i = 0; i < 100; ++i) {
    Own(builder.Node("Big", {"x"}, {"y" + std::to_string(i)}));
  }
  builder.Output("y0");
  ExpectRefused(builder, absl::StatusCode::kResourceExhausted,
                "function `own.Big`: the copies of the functions that the model calls exceed the limit");
}

TEST(FunctionsTest, DeepCallsAreRefused) {
  OnnxBuilder builder;
  AddStep(AddFunction(builder, "F0", {"x"}, {"y"}), "Neg", {"x"}, {"y"});
  for (int level = 1; level <= 100; ++level) {
    AddStep(AddFunction(builder, "F" + std::to_string(level), {"x"}, {"y"}), "F" + std::to_string(level - 1), {"x"},
            {"y"})
        .set_domain("own");
  }
  AddImport(builder, "own");
  Own(builder.Input("x", {1, 1}).Node("F100", {"x"}, {"y"}).Named("deep")).Output("y");
  ExpectRefused(builder, absl::StatusCode::kResourceExhausted, "called more than 64 functions deep");
}

TEST(FunctionsTest, AFunctionOfAnotherOperatorSetIsRefused) {
  OnnxBuilder builder;
  AddStep(AddFunction(builder, "F", {"x"}, {"y"}, 18), "Neg", {"x"}, {"y"});
  AddImport(builder, "own");
  Own(builder.Input("x", {1, 1}).Node("F", {"x"}, {"y"})).Output("y");
  ExpectRefused(builder, absl::StatusCode::kUnimplemented,
                "function `own.F`: it is written for operator set 18, the model for 13");
}

TEST(FunctionsTest, CallsThatDoNotFitAreRefused) {
  OnnxBuilder inputs;
  AddStep(AddFunction(inputs, "F", {"x"}, {"y"}), "Neg", {"x"}, {"y"});
  Own(inputs.Input("x", {1, 1}).Node("F", {"x", "x"}, {"y"}).Named("n")).Output("y");
  ExpectRefused(inputs, absl::StatusCode::kInvalidArgument,
                "node `n` (F): function `own.F` has 1 inputs and 1 outputs, the call more");
  OnnxBuilder attribute;
  AddStep(AddFunction(attribute, "F", {"x"}, {"y"}), "Neg", {"x"}, {"y"});
  Own(attribute.Input("x", {1, 1}).Node("F", {"x"}, {"y"}).Named("n").Attribute("beta", 1.0F)).Output("y");
  ExpectRefused(attribute, absl::StatusCode::kInvalidArgument,
                "node `n` (F): function `own.F` has no attribute `beta`");
  OnnxBuilder unknown;
  AddStep(AddFunction(unknown, "F", {"x"}, {"y"}), "Neg", {"x"}, {"y"});
  Own(unknown.Input("x", {1, 1}).Node("G", {"x"}, {"y"}).Named("n")).Output("y");
  ExpectRefused(unknown, absl::StatusCode::kUnimplemented,
                "node `n` (G): the operator of the domain `own` is not supported");
}

TEST(FunctionsTest, FunctionsThatContradictThemselvesAreRefused) {
  OnnxBuilder twice;
  AddStep(AddFunction(twice, "F", {"x"}, {"y"}), "Neg", {"x"}, {"y"});
  AddStep(AddFunction(twice, "F", {"x"}, {"y"}), "Neg", {"x"}, {"y"});
  Own(twice.Input("x", {1, 1}).Node("F", {"x"}, {"y"})).Output("y");
  ExpectRefused(twice, absl::StatusCode::kInvalidArgument, "function `own.F`: defined twice");
  OnnxBuilder input;
  AddStep(AddFunction(input, "F", {"x"}, {"y"}), "Neg", {"x"}, {"x"}).set_name("n");
  Own(input.Input("x", {1, 1}).Node("F", {"x"}, {"y"})).Output("y");
  ExpectRefused(input, absl::StatusCode::kInvalidArgument,
                "function `own.F`, node `n` (Neg): makes `x`, an input of the function");
  OnnxBuilder nothing;
  AddFunction(nothing, "F", {"x"}, {"y"});
  Own(nothing.Input("x", {1, 1}).Node("F", {"x"}, {"h"}).Named("call")).Node("Neg", {"h"}, {"y"}).Output("y");
  ExpectRefused(nothing, absl::StatusCode::kInvalidArgument, "reads `h`, which nothing in the graph makes");
  OnnxBuilder standard;
  AddFunction(standard, "Relu", {"x"}, {"y"}).set_domain("");
  standard.Input("x", {1, 1}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(standard, absl::StatusCode::kUnimplemented, "function `Relu`: a function of the default domain");
  OnnxBuilder broken;
  AddUnknown(AddFunction(broken, "F", {"x"}, {"y"}), kDefaults, "\xff\xff");
  Own(broken.Input("x", {1, 1}).Node("F", {"x"}, {"y"})).Output("y");
  ExpectRefused(broken, absl::StatusCode::kInvalidArgument, "a default of its attributes is malformed");
}

TEST(FunctionsTest, NodesOfAFunctionThatCannotRunAreNamedByTheirCall) {
  OnnxBuilder builder;
  AddStep(AddFunction(builder, "F", {"x"}, {"y"}), "NonZero", {"x"}, {"y"}).set_name("find");
  AddImport(builder, "own");
  Own(builder.Input("x", {1, 1}).Node("F", {"x"}, {"y"}).Named("call")).Output("y");
  ExpectRefused(builder, absl::StatusCode::kUnimplemented, "node `call/find` (NonZero): the operator is not supported");
}

}  // namespace
}  // namespace shoji::graph
