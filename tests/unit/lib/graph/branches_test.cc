// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Models with an If.

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

// The graph of `branch` becomes one of the last node's two.
void AddBranch(OnnxBuilder& builder, const std::string& name, OnnxBuilder& branch) {
  auto* nodes = builder.proto().mutable_graph()->mutable_node();
  ::onnx::AttributeProto& attribute = *nodes->Mutable(nodes->size() - 1)->add_attribute();
  attribute.set_name(name);
  attribute.set_type(::onnx::AttributeProto::GRAPH);
  *attribute.mutable_g() = branch.proto().graph();
}

// A branch of one node: y = op_type(x).
void AddUnaryBranch(OnnxBuilder& builder, const std::string& name, const std::string& op_type, const std::string& x) {
  OnnxBuilder branch;
  branch.Node(op_type, {x}, {"result"}).Output("result");
  AddBranch(builder, name, branch);
}

OnnxBuilder& Condition(OnnxBuilder& builder, bool value) {
  return builder.Integers("c", ::onnx::TensorProto::BOOL, {}, {value ? 1 : 0});
}

void ExpectRefused(const OnnxBuilder& builder, absl::StatusCode code, const std::string& text,
                   const ImportOptions& options = {}) {
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build(), options);
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().code(), code) << graph.status();
  EXPECT_THAT(std::string(graph.status().message()), HasSubstr(text));
}

std::vector<std::string> NodeNames(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) {
    names.push_back(node.name);
  }
  return names;
}

TEST(BranchesTest, AConstantDecides) {
  for (const int64_t opset : {7, 11, 13, 16, 18, 21}) {
    for (const bool value : {true, false}) {
      OnnxBuilder builder(opset);
      Condition(builder, value).Input("x", {1, 2}).Node("If", {"c"}, {"y"});
      AddUnaryBranch(builder, "then_branch", "Neg", "x");
      AddUnaryBranch(builder, "else_branch", "Relu", "x");
      builder.Output("y");
      ExpectNear(RunModel(builder, {{-3, 2}}).at(0), value ? Floats{3, -2} : Floats{0, 2});
    }
  }
}

// As torch.jit.script leaves behind of squeeze(2): which branch it is depends on the shape.
TEST(BranchesTest, ShapesDecide) {
  for (const int64_t extent : {1, 2}) {
    OnnxBuilder builder(11);
    builder.Input("x", {-1, 2, extent}).Integers("two", ::onnx::TensorProto::INT64, {}, {2});
    builder.Integers("one", ::onnx::TensorProto::INT64, {}, {1});
    builder.Node("Relu", {"x"}, {"h"}).Node("Shape", {"h"}, {"s"}).Node("Gather", {"s", "two"}, {"d"});
    builder.Node("Equal", {"d", "one"}, {"c"}).Node("If", {"c"}, {"y"});
    OnnxBuilder squeeze;
    squeeze.Node("Squeeze", {"h"}, {"squeezed"}).Attribute("axes", std::vector<int64_t>{2}).Output("squeezed");
    AddBranch(builder, "then_branch", squeeze);
    AddUnaryBranch(builder, "else_branch", "Identity", "h");
    builder.Output("y");
    const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
    ASSERT_TRUE(graph.ok()) << graph.status();
    EXPECT_EQ(graph->values[graph->outputs[0]].shape, extent == 1 ? Shape({1, 2}) : Shape({1, 2, 2}));
  }
}

TEST(BranchesTest, TheNameOfAnIfStandsForTheNodesOfItsBranch) {
  OnnxBuilder builder;
  Condition(builder, true).Input("x", {1, 2}).Node("Relu", {"x"}, {"h"}).Named("first");
  builder.Node("If", {"c"}, {"b"}).Named("pick");
  OnnxBuilder branch;
  branch.Node("Neg", {"h"}, {"n"}).Named("neg").Node("Exp", {"n"}, {"e"}).Output("e");
  AddBranch(builder, "then_branch", branch);
  AddUnaryBranch(builder, "else_branch", "Neg", "h");
  builder.Node("Neg", {"b"}, {"y"}).Named("last").Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(NodeNames(*graph), ElementsAre("first", "pick/neg", "pick/e", "last"));
  EXPECT_EQ(FindNode(*graph, "pick").value(), 1U);
  EXPECT_EQ(FindAfter(*graph, "pick").value(), 3U);
}

TEST(BranchesTest, WhatTheOtherBranchHoldsDoesNotMatter) {
  OnnxBuilder builder;
  Condition(builder, false).Input("x", {1, 2}).Node("If", {"c"}, {"y"});
  OnnxBuilder sequence;
  sequence.Node("NonZero", {"x"}, {"n"}).Node("Cast", {"n"}, {"f"}).Attribute("to", int64_t{1}).Output("f");
  AddBranch(builder, "then_branch", sequence);
  AddUnaryBranch(builder, "else_branch", "Neg", "x");
  builder.Output("y");
  ExpectNear(RunModel(builder, {{-3, 2}}).at(0), {3, -2});
}

TEST(BranchesTest, BranchesHaveConstantsOfTheirOwn) {
  OnnxBuilder builder;
  Condition(builder, true).Input("x", {1, 2}).Node("If", {"c"}, {"y"});
  OnnxBuilder branch;
  branch.Weight("w", {2}, {10, 20}).Node("Mul", {"x", "w"}, {"m"}).Output("m");
  AddBranch(builder, "then_branch", branch);
  AddUnaryBranch(builder, "else_branch", "Neg", "x");
  builder.Output("y");
  ExpectNear(RunModel(builder, {{-3, 2}}).at(0), {-30, 40});
}

TEST(BranchesTest, ABranchGivesBackValuesFromOutsideAndTheSameOneTwice) {
  OnnxBuilder builder;
  Condition(builder, true).Input("x", {1, 1}).Node("Exp", {"x"}, {"h"}).Node("If", {"c"}, {"a", "b", "d"});
  OnnxBuilder branch;
  branch.Node("Neg", {"h"}, {"n"}).Output("h").Output("n").Output("n");
  AddBranch(builder, "then_branch", branch);
  AddBranch(builder, "else_branch", branch);
  builder.Node("Sub", {"a", "b"}, {"e"}).Node("Add", {"e", "d"}, {"y"}).Output("y").Output("d");
  const std::vector<Floats> y = RunModel(builder, {{0}});
  ExpectNear(y.at(0), {1});
  ExpectNear(y.at(1), {-1});
}

TEST(BranchesTest, NamesOfDifferentBranchesDoNotMeet) {
  OnnxBuilder builder;
  Condition(builder, true).Input("x", {1, 1}).Node("If", {"c"}, {"a"}).Named("i");
  OnnxBuilder branch;
  branch.Node("Neg", {"x"}, {"h"}).Named("n").Node("Exp", {"h"}, {"e"}).Named("n").Output("e");
  AddBranch(builder, "then_branch", branch);
  AddBranch(builder, "else_branch", branch);
  builder.Node("If", {"c"}, {"b"}).Named("j");
  AddBranch(builder, "then_branch", branch);
  AddBranch(builder, "else_branch", branch);
  builder.Node("Add", {"a", "b"}, {"i/h"}).Named("i/n").Output("i/h");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(NodeNames(*graph), ElementsAre("i/n_2", "i/n_3", "j/n", "j/n_2", "i/n"));
  ExpectNear(RunModel(builder, {{0}}).at(0), {2});
}

TEST(BranchesTest, ABranchWithinABranchReadsTheNamesOfBoth) {
  OnnxBuilder inner_then;
  inner_then.Node("Mul", {"h", "x"}, {"m"}).Node("Neg", {"m"}, {"n"}).Output("n");
  OnnxBuilder outer_then;
  outer_then.Node("Exp", {"x"}, {"h"}).Node("Not", {"c"}, {"not"}).Node("If", {"not"}, {"inner"}).Named("in");
  AddUnaryBranch(outer_then, "then_branch", "Abs", "h");
  AddBranch(outer_then, "else_branch", inner_then);
  outer_then.Node("Add", {"inner", "h"}, {"sum"}).Output("sum");
  OnnxBuilder builder;
  Condition(builder, true).Input("x", {1, 1}).Node("If", {"c"}, {"y"}).Named("out");
  AddBranch(builder, "then_branch", outer_then);
  AddUnaryBranch(builder, "else_branch", "Neg", "x");
  builder.Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(NodeNames(*graph), ElementsAre("out/h", "out/in/m", "out/in/n", "out/sum"));
  ExpectNear(RunModel(builder, {{0}}).at(0), {1});
}

// As PyTorch's exporter by torch.export leaves behind, in a function of the model's own.
TEST(BranchesTest, ABranchOfAFunctionIsTaken) {
  OnnxBuilder builder(18);
  ::onnx::FunctionProto& function = *builder.proto().add_functions();
  function.set_domain("pkg.onnxscript");
  function.set_name("twice_unless_scalar");
  function.add_input("x");
  function.add_output("y");
  auto* import = function.add_opset_import();
  import->set_version(18);
  OnnxBuilder body(18);
  body.Node("Shape", {"x"}, {"s"}).Node("Size", {"s"}, {"rank"}).Node("Constant", {}, {"zero"});
  body.Attribute("value_int", int64_t{0}).Node("Equal", {"rank", "zero"}, {"c"}).Node("If", {"c"}, {"y"}).Named("if");
  AddUnaryBranch(body, "then_branch", "Identity", "x");
  OnnxBuilder twice;
  twice.Node("Add", {"x", "x"}, {"sum"}).Output("sum");
  AddBranch(body, "else_branch", twice);
  *function.mutable_node() = body.proto().graph().node();
  auto* own = builder.proto().add_opset_import();
  own->set_domain("pkg.onnxscript");
  own->set_version(1);
  builder.Input("x", {1, 1}).Node("twice_unless_scalar", {"x"}, {"y"}).Named("call").Output("y");
  builder.proto().mutable_graph()->mutable_node(0)->set_domain("pkg.onnxscript");
  ExpectNear(RunModel(builder, {{4}}).at(0), {8});
}

TEST(BranchesTest, AConditionThatDependsOnTheInputIsRefusedWithAdvice) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1}).Node("If", {"x"}, {"y"}).Named("pick");
  AddUnaryBranch(builder, "then_branch", "Neg", "x");
  AddUnaryBranch(builder, "else_branch", "Relu", "x");
  builder.Output("y");
  ExpectRefused(builder, absl::StatusCode::kUnimplemented,
                "node `pick` (If): its condition `x` depends on what the model is given; only an If that constants or "
                "shapes decide is supported: export the model by tracing, or with the branch fixed");
}

// As scripted models write `if (x > limit).any()`.
OnnxBuilder& Compared(OnnxBuilder& builder) {
  builder.Input("x", {1, 2}).Weight("limit", {}, {0.5F}).Node("Greater", {"x", "limit"}, {"more"}).Named("compare");
  builder.Node("Cast", {"more"}, {"ones"}).Attribute("to", int64_t{::onnx::TensorProto::INT32});
  builder.Node("ReduceMax", {"ones"}, {"one"}).Attribute("keepdims", int64_t{0});
  return builder.Node("Cast", {"one"}, {"c"}).Attribute("to", int64_t{::onnx::TensorProto::BOOL});
}

constexpr char kComputedCondition[] =
    "its condition `c` depends on what the model is given (through node `compare` (Greater)); only an If that "
    "constants or shapes decide is supported: export the model by tracing";

TEST(BranchesTest, AConditionThatIsComputedFromTheInputIsRefusedByItsIf) {
  OnnxBuilder builder;
  Compared(builder).Node("If", {"c"}, {"y"}).Named("pick");
  AddUnaryBranch(builder, "then_branch", "Neg", "x");
  AddUnaryBranch(builder, "else_branch", "Relu", "x");
  builder.Output("y");
  ExpectRefused(builder, absl::StatusCode::kUnimplemented, std::string("node `pick` (If): ") + kComputedCondition);
}

TEST(BranchesTest, AConditionThatIsComputedInABranchIsRefusedByTheIfWithin) {
  OnnxBuilder within;
  within.Node("Greater", {"x", "limit"}, {"more"}).Named("compare").Node("Not", {"more"}, {"d"}).Named("negate");
  within.Node("If", {"d"}, {"z"}).Named("inner");
  AddUnaryBranch(within, "then_branch", "Neg", "x");
  AddUnaryBranch(within, "else_branch", "Relu", "x");
  within.Output("z");
  OnnxBuilder builder;
  Condition(builder, true).Weight("limit", {}, {0.5F}).Input("x", {1, 1}).Node("If", {"c"}, {"y"}).Named("outer");
  AddBranch(builder, "then_branch", within);
  AddUnaryBranch(builder, "else_branch", "Relu", "x");
  builder.Output("y");
  ExpectRefused(builder, absl::StatusCode::kUnimplemented,
                "node `outer/inner` (If): its condition `outer/d` depends on what the model is given (through node "
                "`outer/compare` (Greater))");
}

TEST(BranchesTest, AComparisonThatABranchGivesBackIsRefusedByTheIfThatReadsIt) {
  OnnxBuilder builder;
  Compared(builder).Integers("yes", ::onnx::TensorProto::BOOL, {}, {1}).Node("If", {"yes"}, {"again"});
  AddUnaryBranch(builder, "then_branch", "Identity", "c");
  AddUnaryBranch(builder, "else_branch", "Not", "c");
  builder.Node("If", {"again"}, {"y"}).Named("pick");
  AddUnaryBranch(builder, "then_branch", "Neg", "x");
  AddUnaryBranch(builder, "else_branch", "Relu", "x");
  builder.Output("y");
  ExpectRefused(builder, absl::StatusCode::kUnimplemented,
                "node `pick` (If): its condition `again` depends on what the model is given (through node `compare`");
}

TEST(BranchesTest, AComparisonOfTheInputThatIsNeededOtherwiseIsRefusedItself) {
  OnnxBuilder where;
  Compared(where).Node("Where", {"more", "x", "x"}, {"y"}).Output("y");
  OnnxBuilder output;
  Compared(output).Output("c");
  OnnxBuilder joined;
  Compared(joined).Node("Concat", {"ones", "ones"}, {"y"}).Attribute("axis", int64_t{0}).Output("y");
  for (const OnnxBuilder* builder : {&where, &output, &joined}) {
    ExpectRefused(*builder, absl::StatusCode::kUnimplemented,
                  "node `compare` (Greater): the operator is supported on constants only");
  }
}

TEST(BranchesTest, AComparisonOfTheInputThatNothingNeedsIsDropped) {
  OnnxBuilder builder;
  Compared(builder).Node("Neg", {"x"}, {"y"}).Output("y");
  ExpectNear(RunModel(builder, {{1, 2}}).at(0), {-1, -2});
}

// An If in a branch of an If, `depth` of them.
OnnxBuilder& Nested(OnnxBuilder& builder, int depth) {
  Condition(builder, true).Input("x", {1, 1});
  OnnxBuilder inner;
  inner.Node("Neg", {"x"}, {"result"}).Output("result");
  for (int i = 1; i < depth; ++i) {
    OnnxBuilder outer;
    outer.Node("If", {"c"}, {"result"}).Named("if" + std::to_string(i));
    AddBranch(outer, "then_branch", inner);
    AddUnaryBranch(outer, "else_branch", "Relu", "x");
    outer.Output("result");
    inner.proto().Swap(&outer.proto());
  }
  builder.Node("If", {"c"}, {"y"}).Named("if");
  AddBranch(builder, "then_branch", inner);
  AddUnaryBranch(builder, "else_branch", "Relu", "x");
  return builder.Output("y");
}

TEST(BranchesTest, BranchesMayLieDeepInBranches) {
  OnnxBuilder builder;
  EXPECT_EQ(ImportOnnx(Nested(builder, 30).Build()).status(), absl::OkStatus());
}

TEST(BranchesTest, BranchesThatLieTooDeepInBranchesAreToldFromABrokenFile) {
  for (const int depth : {40, 100, 300}) {
    OnnxBuilder builder;
    Nested(builder, depth);
    ExpectRefused(builder, absl::StatusCode::kUnimplemented, "the ONNX file nests its graphs too deeply");
  }
}

TEST(BranchesTest, AConditionThatIsNotOneBooleanIsRefused) {
  OnnxBuilder builder;
  builder.Ints("c", {1}).Input("x", {1, 1}).Node("If", {"c"}, {"y"}).Named("pick");
  AddUnaryBranch(builder, "then_branch", "Neg", "x");
  AddUnaryBranch(builder, "else_branch", "Relu", "x");
  builder.Output("y");
  ExpectRefused(builder, absl::StatusCode::kInvalidArgument, "its condition `c` is not one boolean");
}

TEST(BranchesTest, NodesOfABranchThatCannotRunAreNamedByTheirIf) {
  OnnxBuilder builder;
  Condition(builder, true).Input("x", {1, 2}).Node("If", {"c"}, {"y"}).Named("pick");
  OnnxBuilder branch;
  branch.Node("NonZero", {"x"}, {"n"}).Named("find").Output("n");
  AddBranch(builder, "then_branch", branch);
  AddUnaryBranch(builder, "else_branch", "Neg", "x");
  builder.Output("y");
  ExpectRefused(builder, absl::StatusCode::kUnimplemented, "node `pick/find` (NonZero): the operator is not supported");
}

// An If of operator set 18, which only Shoji's own rules check, with `branch` twice.
void ExpectBranchRefused(OnnxBuilder& branch, absl::StatusCode code, const std::string& text,
                         const ImportOptions& options = {}) {
  OnnxBuilder builder(18);
  Condition(builder, true).Input("x", {1, 2}).Node("If", {"c"}, {"y"}).Named("pick");
  AddBranch(builder, "then_branch", branch);
  AddBranch(builder, "else_branch", branch);
  ExpectRefused(builder.Node("Neg", {"y"}, {"z"}).Output("z"), code, text, options);
}

TEST(BranchesTest, BranchesThatContradictThemselvesAreRefused) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  OnnxBuilder nothing;
  ExpectBranchRefused(nothing.Node("Neg", {"x"}, {"n"}), kInvalid,
                      "node `pick` (If): each of its branches must have no inputs and 1 outputs, as it has");
  OnnxBuilder input;
  ExpectBranchRefused(input.Input("i", {1, 2}).Node("Neg", {"i"}, {"n"}).Output("n"), kInvalid, "must have no inputs");
  OnnxBuilder lost;
  lost.Node("Neg", {"x"}, {"n"}).Ints("shape", {2}).Node("Reshape", {"x", "shape"}, {}).Named("lost").Output("n");
  ExpectBranchRefused(lost, kInvalid, "node `pick/lost` (Reshape): makes nothing");
  OnnxBuilder dangling;
  ExpectBranchRefused(dangling.Node("Neg", {"gone"}, {"n"}).Output("n"), kInvalid,
                      "node `pick` (If): node `n` (Neg) in its branch reads `gone`, which nothing before it makes");
  OnnxBuilder order;
  ExpectBranchRefused(order.Node("Neg", {"m"}, {"n"}).Node("Neg", {"x"}, {"m"}).Output("n"), kInvalid, "reads `m`");
  OnnxBuilder later;
  ExpectBranchRefused(later.Node("Neg", {"z"}, {"n"}).Output("n"), kInvalid, "reads `z`");
  OnnxBuilder twice;
  ExpectBranchRefused(twice.Node("Neg", {"x"}, {"n"}).Node("Exp", {"x"}, {"n"}).Output("n"), kInvalid,
                      "node `n` (Exp) makes `n`, which its branch has already");
  OnnxBuilder constant;
  ExpectBranchRefused(constant.Weight("n", {1}).Node("Neg", {"x"}, {"n"}).Output("n"), kInvalid, "makes `n`");
  OnnxBuilder output;
  ExpectBranchRefused(output.Node("Neg", {"x"}, {"n"}).Output("gone"), kInvalid,
                      "its branch gives back `gone`, which nothing makes");
  OnnxBuilder itself;
  ExpectBranchRefused(itself.Node("Neg", {"x"}, {"n"}).Output("y"), kInvalid, "its branch gives back `y`");
}

TEST(BranchesTest, AnIfWithoutItsTwoBranchesIsRefused) {
  OnnxBuilder one;
  Condition(one, true).Input("x", {1, 2}).Node("If", {"c"}, {"y"}).Named("pick");
  AddUnaryBranch(one, "then_branch", "Neg", "x");
  ExpectRefused(one.Output("y"), absl::StatusCode::kInvalidArgument,
                "node `pick` (If): its attributes must be two graphs, `then_branch` and `else_branch`");
  OnnxBuilder other;
  Condition(other, true).Input("x", {1, 2}).Node("If", {"c"}, {"y"}).Named("pick").Attribute("then_branch", int64_t{1});
  AddUnaryBranch(other, "else_branch", "Neg", "x");
  ExpectRefused(other.Output("y"), absl::StatusCode::kInvalidArgument, "must be two graphs");
}

TEST(BranchesTest, BranchesKeepNoDataElsewhere) {
  OnnxBuilder branch;
  branch.Weight("w", {2}).Node("Mul", {"x", "w"}, {"m"}).Output("m");
  ::onnx::TensorProto& weight = *branch.proto().mutable_graph()->mutable_initializer(0);
  weight.clear_raw_data();
  weight.set_data_location(::onnx::TensorProto::EXTERNAL);
  ExpectBranchRefused(branch, absl::StatusCode::kUnimplemented,
                      "node `pick` (If): external data inside a branch is not supported; convert the model to one "
                      "file");
}

TEST(BranchesTest, NodesOfBranchesCountTowardsTheLimit) {
  constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
  OnnxBuilder branch;
  branch.Node("Neg", {"x"}, {"n0"});
  for (int i = 0; i < 9; ++i) {
    branch.Node("Neg", {"n" + std::to_string(i)}, {"n" + std::to_string(i + 1)});
  }
  branch.Output("n9");
  ExpectBranchRefused(branch, kExhausted, "node `pick` (If): its branches have more than 19 nodes, which is the limit",
                      {.max_nodes = 19});
  OnnxBuilder builder;
  Condition(builder, true).Input("x", {1, 2});
  for (const char* output : {"a", "b", "d"}) {
    builder.Node("If", {"c"}, {output});
    AddBranch(builder, "then_branch", branch);
    AddBranch(builder, "else_branch", branch);
  }
  builder.Output("a").Output("b").Output("d");
  ExpectRefused(builder, kExhausted,
                "node `d/n0` (Neg): with the branches of each If in its place the graph has more than 20 nodes",
                {.max_nodes = 20});
}

}  // namespace
}  // namespace shoji::graph
