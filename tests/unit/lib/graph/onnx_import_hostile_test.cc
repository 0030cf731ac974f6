// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Files that must be refused, each with its error.

#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/support/onnx_builder.h"

namespace shoji::graph {
namespace {

using shoji::testing::OnnxBuilder;
using shoji::testing::SmallResNet;
using ::testing::HasSubstr;

void ExpectRefused(ByteSpan file, absl::StatusCode code, const std::string& text, const ImportOptions& options = {}) {
  const absl::StatusOr<Graph> graph = ImportOnnx(file, options);
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().code(), code) << graph.status();
  EXPECT_THAT(std::string(graph.status().message()), HasSubstr(text));
}

void ExpectRefused(const OnnxBuilder& builder, absl::StatusCode code, const std::string& text,
                   const ImportOptions& options = {}) {
  ExpectRefused(ByteSpan(builder.Build()), code, text, options);
}

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kUnimplemented = absl::StatusCode::kUnimplemented;
constexpr absl::StatusCode kExhausted = absl::StatusCode::kResourceExhausted;

TEST(OnnxImportHostileTest, EmptyAndForeignFilesAreRefused) {
  ExpectRefused(ByteSpan(), kInvalid, "the ONNX file is empty");
  ExpectRefused(AsBytes("PK\x03\x04 this is no model"), kInvalid, "not an ONNX file, or a truncated one");
}

TEST(OnnxImportHostileTest, EveryTruncationIsRefusedOrAWholeMessage) {
  const Bytes file = SmallResNet();
  ASSERT_TRUE(ImportOnnx(file).ok());
  size_t refused = 0;
  for (size_t length = 0; length < file.size(); ++length) {
    refused += ImportOnnx(ByteSpan(file).first(length)).ok() ? size_t{0} : size_t{1};
  }
  EXPECT_EQ(refused, file.size());
}

TEST(OnnxImportHostileTest, FlippedBytesNeverCrash) {
  Bytes file = SmallResNet();
  for (size_t i = 0; i < file.size(); ++i) {
    for (const uint8_t flip : {uint8_t{0x01}, uint8_t{0x80}, uint8_t{0xff}}) {
      file[i] = static_cast<uint8_t>(file[i] ^ flip);
      (void)ImportOnnx(file).ok();
      file[i] = static_cast<uint8_t>(file[i] ^ flip);
    }
  }
}

TEST(OnnxImportHostileTest, UnsupportedOperatorNamesNodeAndOperator) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Det", {"x"}, {"y"}).Named("mixer").Output("y");
  ExpectRefused(builder, kUnimplemented, "node `mixer` (Det): the operator is not supported");
}

TEST(OnnxImportHostileTest, OperatorsThatNeedOtherShapesOrOrdersAreRefusedByName) {
  for (const char* op : {"Resize", "Upsample", "ArgMax", "TopK", "NonZero", "Loop", "LSTM", "ConvTranspose"}) {
    OnnxBuilder builder;
    builder.Input("x", {1, 3, 4, 4}).Node(op, {"x"}, {"y"}).Named("n").Output("y");
    ExpectRefused(builder, kUnimplemented, std::string("node `n` (") + op + "): the operator is not supported");
  }
}

TEST(OnnxImportHostileTest, RefusedOperatorsComeWithAdvice) {
  for (const auto& [op, advice] :
       {std::pair("ArgMax", "export the model with its scores as output"),
        std::pair("Resize", "leave resizing pictures to the model's preprocessing"),
        std::pair("Loop", "export the model by tracing"), std::pair("SequenceMap", "export the model by tracing")}) {
    OnnxBuilder builder;
    builder.Input("x", {1, 3, 4, 4}).Node(op, {"x"}, {"y"}).Named("n").Output("y");
    ExpectRefused(builder, kUnimplemented,
                  std::string("node `n` (") + op + "): the operator is not supported; " + advice);
  }
}

TEST(OnnxImportHostileTest, DeepSubgraphsAreRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("If", {"x"}, {"y"}).Named("branch").Output("y");
  ::onnx::NodeProto* node = builder.proto().mutable_graph()->mutable_node(0);
  for (int depth = 0; depth < 8; ++depth) {
    auto* attribute = node->add_attribute();
    attribute->set_name("then_branch");
    attribute->set_type(::onnx::AttributeProto::GRAPH);
    node = attribute->mutable_g()->add_node();
    node->set_op_type("If");
  }
  ExpectRefused(builder, kInvalid, "node `branch` (If): its attributes must be two graphs");
  // Deeper than any parser should follow.
  for (int depth = 0; depth < 1000; ++depth) {
    node = node->add_attribute()->mutable_g()->add_node();
  }
  EXPECT_FALSE(ImportOnnx(builder.Build()).ok());
}

TEST(OnnxImportHostileTest, UnknownAttributeOfANewerOperatorSetIsRefused) {
  OnnxBuilder builder(18);
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Attribute("slope", 1.0F).Output("y");
  ExpectRefused(builder, kUnimplemented, "node `y` (Relu): attribute `slope` is not known");
}

TEST(OnnxImportHostileTest, FixedBatchOfServedModelsIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {8, 3, 4, 4}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(builder, kUnimplemented,
                "input `x`: the batch is fixed to 8; only a batch of 1 or a dynamic one is supported",
                {.batch = ImportOptions::Batch::kOne});
  EXPECT_TRUE(ImportOnnx(builder.Build()).ok());
}

TEST(OnnxImportHostileTest, OperatorsOfOtherDomainsAreRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  builder.proto().mutable_graph()->mutable_node(0)->set_domain("com.microsoft");
  ExpectRefused(builder, kUnimplemented,
                "node `y` (Relu): the operator of the domain `com.microsoft` is not supported");
}

TEST(OnnxImportHostileTest, UnsupportedVersionsAreRefused) {
  OnnxBuilder future(22);
  future.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(future, kUnimplemented, "operator set 22 is not supported; 7 to 21 are");
  OnnxBuilder format(13, 12);
  format.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(format, kUnimplemented, "IR version 12 is not supported");
}

TEST(OnnxImportHostileTest, TensorThatClaimsThreeGigabytesIsRefusedBeforeAllocation) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  auto* tensor = builder.proto().mutable_graph()->mutable_initializer(0);
  tensor->set_dims(0, int64_t{3} << 28);
  ExpectRefused(builder, kExhausted, "initializer `w`: shape [805306368] exceeds the limit of 2147483648 bytes");
}

TEST(OnnxImportHostileTest, TruncatedRawDataIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  auto* tensor = builder.proto().mutable_graph()->mutable_initializer(0);
  tensor->clear_float_data();
  tensor->set_raw_data("1234567");
  ExpectRefused(builder, kInvalid, "initializer `w`: raw_data has 7 bytes where its shape needs 12");
}

TEST(OnnxImportHostileTest, WrongValueCountIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Weight("w", {3}, {1, 2}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  ExpectRefused(builder, kInvalid, "initializer `w`: the tensor holds 2 values where its shape needs 3");
}

TEST(OnnxImportHostileTest, ExternalDataIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  auto* tensor = builder.proto().mutable_graph()->mutable_initializer(0);
  tensor->set_data_location(::onnx::TensorProto::EXTERNAL);
  auto* entry = tensor->add_external_data();
  entry->set_key("location");
  entry->set_value("/etc/passwd");
  ExpectRefused(builder, kUnimplemented, "initializer `w`: data in an external file is not supported");
}

TEST(OnnxImportHostileTest, UnsupportedTensorTypeIsRefused) {
  using ::onnx::TensorProto;
  for (const auto type : {TensorProto::STRING, TensorProto::COMPLEX64, TensorProto::UINT64}) {
    OnnxBuilder builder;
    builder.Input("x", {1, 3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
    builder.proto().mutable_graph()->mutable_initializer(0)->set_data_type(type);
    ExpectRefused(builder, kUnimplemented,
                  "initializer `w`: tensors of type " + TensorProto::DataType_Name(type) + " are not supported");
  }
}

TEST(OnnxImportHostileTest, NegativeExtentsAreRefused) {
  OnnxBuilder weight;
  weight.Input("x", {1, 3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  weight.proto().mutable_graph()->mutable_initializer(0)->set_dims(0, -3);
  ExpectRefused(weight, kInvalid, "initializer `w`: a tensor extent of -3");
  OnnxBuilder input;
  input.Input("x", {1, -3}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(input, kInvalid, "input `x`: extent -3 of dimension 1 is not positive");
}

TEST(OnnxImportHostileTest, DanglingEdgeIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Add", {"x", "ghost"}, {"y"}).Named("sum").Output("y");
  ExpectRefused(builder, kInvalid, "node `sum` (Add): reads `ghost`, which nothing in the graph makes");
}

TEST(OnnxImportHostileTest, CycleIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Add", {"x", "b"}, {"a"}).Node("Relu", {"a"}, {"b"}).Output("b");
  ExpectRefused(builder, kInvalid,
                "node `a` (Add): reads `b`, which node `b` (Relu) makes later: the nodes form a cycle");
}

TEST(OnnxImportHostileTest, DuplicateNamesAreRefused) {
  OnnxBuilder nodes;
  nodes.Input("x", {1, 3}).Node("Relu", {"x"}, {"a"}).Named("n").Node("Relu", {"a"}, {"y"}).Named("n").Output("y");
  ExpectRefused(nodes, kInvalid, "node `n` (Relu): two nodes have this name");
  OnnxBuilder values;
  values.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Named("a").Node("Tanh", {"x"}, {"y"}).Named("b").Output("y");
  ExpectRefused(values, kInvalid, "node `b` (Tanh): makes `y`, which is defined already");
  OnnxBuilder constants;
  constants.Input("x", {1, 3}).Weight("w", {3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  ExpectRefused(constants, kInvalid, "initializer `w`: defined twice");
}

TEST(OnnxImportHostileTest, UnknownAttributeIsRefusedByTheChecker) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Attribute("slope", 1.0F).Output("y");
  ExpectRefused(builder, kInvalid, "the ONNX checker refuses the file: Unrecognized attribute: slope");
}

TEST(OnnxImportHostileTest, SubgraphsAreRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  auto* attribute = builder.proto().mutable_graph()->mutable_node(0)->add_attribute();
  attribute->set_name("body");
  attribute->set_type(::onnx::AttributeProto::GRAPH);
  attribute->mutable_g();
  ExpectRefused(builder, kUnimplemented, "node `y` (Relu), attribute `body`: an attribute of this kind");
}

TEST(OnnxImportHostileTest, ZeroStrideIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 4, 4}).Node("MaxPool", {"x"}, {"y"}).Attribute("kernel_shape", {2, 2});
  builder.Attribute("strides", {0, 1}).Output("y");
  ExpectRefused(builder, kInvalid, "node `y` (MaxPool): attribute `strides`: 0 is out of range");
}

TEST(OnnxImportHostileTest, WindowLargerThanItsInputIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 4, 4}).Weight("w", {1, 1, 5, 5}).Node("Conv", {"x", "w"}, {"y"}).Output("y");
  ExpectRefused(builder, kInvalid, "node `y` (Conv): its window is larger than its padded input");
}

TEST(OnnxImportHostileTest, HugeWindowsAreRefused) {
  for (const char* name : {"kernel_shape", "strides", "dilations"}) {
    OnnxBuilder builder;
    builder.Input("x", {1, 1, 4, 4}).Node("MaxPool", {"x"}, {"y"});
    if (name != std::string("kernel_shape")) {
      builder.Attribute("kernel_shape", {1, 1});
    }
    builder.Attribute(name, std::vector<int64_t>{int64_t{1} << 40, 1}).Output("y");
    ExpectRefused(builder, kInvalid, std::string("node `y` (MaxPool): attribute `") + name + "`: 1099511627776 is");
  }
  OnnxBuilder pads;
  pads.Input("x", {1, 1, 4, 4}).Weight("w", {1, 1, 1, 1}).Node("Conv", {"x", "w"}, {"y"});
  pads.Attribute("pads", {0, 0, int64_t{1} << 40, 0}).Output("y");
  ExpectRefused(pads, kInvalid, "node `y` (Conv): attribute `pads`: 1099511627776 is out of range");
}

TEST(OnnxImportHostileTest, DilatedAveragesAreRefused) {
  OnnxBuilder builder(19);
  builder.Input("x", {1, 1, 4, 4}).Node("AveragePool", {"x"}, {"y"}).Attribute("kernel_shape", {2, 2});
  builder.Attribute("dilations", {2, 2}).Output("y");
  ExpectRefused(builder, kUnimplemented, "node `y` (AveragePool): an average over a dilated window");
}

TEST(OnnxImportHostileTest, BlocksAndGroupsThatDoNotFitAreRefused) {
  OnnxBuilder blocks;
  blocks.Input("x", {1, 6, 4, 4}).Node("DepthToSpace", {"x"}, {"y"}).Attribute("blocksize", int64_t{2}).Output("y");
  ExpectRefused(blocks, kInvalid, "node `y` (DepthToSpace): blocks of 2 in an input of shape [1,6,4,4]");
  OnnxBuilder none;
  none.Input("x", {1, 6, 4, 4}).Node("SpaceToDepth", {"x"}, {"y"}).Attribute("blocksize", int64_t{0}).Output("y");
  ExpectRefused(none, kInvalid, "node `y` (SpaceToDepth): blocks of 0");
  OnnxBuilder groups(21);
  groups.Input("x", {1, 6, 4, 4}).Weight("s", {6}).Node("GroupNormalization", {"x", "s", "s"}, {"y"});
  groups.Attribute("num_groups", int64_t{4}).Output("y");
  ExpectRefused(groups, kInvalid, "node `y` (GroupNormalization): 4 groups of an input of shape [1,6,4,4]");
}

TEST(OnnxImportHostileTest, WeightsThatDoNotFitAreRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3, 4, 4}).Weight("w", {2, 4, 1, 1}).Node("Conv", {"x", "w"}, {"y"}).Output("y");
  ExpectRefused(builder, kInvalid, "node `y` (Conv): weights of shape [2,4,1,1] in 1 groups do not fit");
}

TEST(OnnxImportHostileTest, ConvolutionsOfOneOrThreeDimensionsAreUnimplemented) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3, 4}).Weight("w", {2, 3, 1}).Node("Conv", {"x", "w"}, {"y"}).Output("y");
  ExpectRefused(builder, kUnimplemented, "node `y` (Conv): its input has shape [1,3,4]; only two spatial dimensions");
}

TEST(OnnxImportHostileTest, WindowWhollyInPaddingIsUnimplemented) {
  OnnxBuilder builder;
  builder.Input("x", {1, 1, 4, 4}).Node("AveragePool", {"x"}, {"y"}).Attribute("kernel_shape", {2, 2});
  builder.Attribute("pads", {2, 0, 0, 0}).Output("y");
  ExpectRefused(builder, kUnimplemented, "node `y` (AveragePool): a window that lies wholly in the padding");
}

TEST(OnnxImportHostileTest, BroadcastThatBlowsUpIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 60000, 1}).Input("z", {1, 1, 60000}).Node("Add", {"x", "z"}, {"y"}).Output("y");
  ExpectRefused(builder, kExhausted, "node `y` (Add): shape [1,60000,60000] exceeds the limit");
}

TEST(OnnxImportHostileTest, ConstantsThatFoldingWouldBlowUpAreRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1}).Ints("dims", {30000, 30000}).Node("ConstantOfShape", {"dims"}, {"big"});
  builder.Node("Add", {"x", "big"}, {"y"}).Output("y");
  ExpectRefused(builder, kExhausted, "exceeds the limit");
  OnnxBuilder doubling;
  doubling.Input("x", {1}).Weight("w", {1024});
  std::string last = "w";
  for (int i = 0; i < 40; ++i) {
    const std::string next = "w" + std::to_string(i);
    doubling.Node("Concat", {last, last}, {next}).Attribute("axis", int64_t{0});
    last = next;
  }
  doubling.Node("Add", {"x", last}, {"y"}).Output("y");
  ExpectRefused(doubling, kExhausted, "folding constants of the file exceeds the limit");
}

TEST(OnnxImportHostileTest, DivisionByZeroInShapeArithmeticIsRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 4}).Ints("a", {4}).Ints("b", {0}).Node("Div", {"a", "b"}, {"c"});
  builder.Node("Reshape", {"x", "c"}, {"y"}).Output("y");
  ExpectRefused(builder, kInvalid, "node `c` (Div): a division of constants has no result");
}

TEST(OnnxImportHostileTest, TrainingModeIsUnimplemented) {
  OnnxBuilder builder(14);
  builder.Input("x", {1, 2, 3}).Weight("p", {2});
  builder.Node("BatchNormalization", {"x", "p", "p", "p", "p"}, {"y", "m", "v"}).Attribute("training_mode", int64_t{1});
  ExpectRefused(builder.Output("y"), kUnimplemented, "node `y` (BatchNormalization): training mode");
}

TEST(OnnxImportHostileTest, OptionalOutputsThatAreReadAreUnimplemented) {
  OnnxBuilder builder(11);
  builder.Input("x", {1, 1, 4, 4}).Node("MaxPool", {"x"}, {"m", "indices"}).Attribute("kernel_shape", {2, 2});
  builder.Node("Cast", {"indices"}, {"y"}).Attribute("to", int64_t{1}).Output("y");
  ExpectRefused(builder, kUnimplemented, "node `y` (Cast): reads `indices`, an optional output that is not supported");
}

TEST(OnnxImportHostileTest, OutputThatIsAnInputOrConstantIsUnimplemented) {
  OnnxBuilder input;
  input.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y").Output("x");
  ExpectRefused(input, kUnimplemented, "output `x`: it is an input");
  OnnxBuilder constant;
  constant.Input("x", {1, 3}).Weight("w", {3}).Node("Relu", {"x"}, {"y"}).Output("y").Output("w");
  ExpectRefused(constant, kUnimplemented, "output `w`: it does not depend on the input");
}

TEST(OnnxImportHostileTest, TooManyNodesAreRefused) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Relu", {"x"}, {"a"}).Node("Relu", {"a"}, {"y"}).Output("y");
  ExpectRefused(builder, kExhausted, "the ONNX graph has 2 nodes; the limit is 1", {.max_nodes = 1});
}

TEST(OnnxImportHostileTest, HundredThousandNodesAreRefusedAtOnce) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3});
  std::string last = "x";
  for (int i = 0; i < 100000; ++i) {
    const std::string next = "r" + std::to_string(i);
    builder.Node("Relu", {last}, {next});
    last = next;
  }
  ExpectRefused(builder.Output(last), kExhausted, "the ONNX graph has 100000 nodes; the limit is 20000");
}

TEST(OnnxImportHostileTest, TooManyInputsInitializersOrOutputsAreRefused) {
  OnnxBuilder inputs;
  inputs.Input("x", {1, 3}).Input("z", {1, 3}).Node("Relu", {"x"}, {"y"}).Output("y");
  ExpectRefused(inputs, kExhausted, "the ONNX graph has 2 inputs; the limit is 1", {.max_values = 1});
  OnnxBuilder weights;
  weights.Input("x", {1, 3}).Weight("v", {3}).Weight("w", {3}).Node("Add", {"x", "w"}, {"y"}).Output("y");
  ExpectRefused(weights, kExhausted, "the ONNX graph has 2 initializers; the limit is 1", {.max_values = 1});
  OnnxBuilder outputs;
  outputs.Input("x", {1, 3}).Node("Relu", {"x"}, {"y"}).Node("Relu", {"y"}, {"z"}).Output("y").Output("z");
  ExpectRefused(outputs, kExhausted, "the ONNX graph has 2 outputs; the limit is 1", {.max_values = 1});
}

TEST(OnnxImportHostileTest, NamesAreCleanedAndCutInMessages) {
  OnnxBuilder builder;
  builder.Input("x", {1, 3}).Node("Det", {"x"}, {"y"}).Named("evil\n\x1b[2J" + std::string(500, 'a')).Output("y");
  const absl::StatusOr<Graph> graph = ImportOnnx(builder.Build());
  const std::string message(graph.status().message());
  EXPECT_THAT(message, HasSubstr("node `evil??[2Jaaa"));
  EXPECT_LT(message.size(), 300U);
}

}  // namespace
}  // namespace shoji::graph
