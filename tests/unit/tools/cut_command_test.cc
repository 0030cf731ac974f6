// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs the real shoji-model binary. What it writes runs in tests/integration/cut_test.cc.

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/config/node.h"
#include "lib/digest/sha2.h"
#include "lib/graph/cut.h"
#include "lib/graph/onnx_import.h"
#include "lib/sealed_model/key_file.h"
#include "lib/sealed_model/open.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/process.h"

namespace shoji::tools {
namespace {

using shoji::testing::CommandResult;
using shoji::testing::RunCommand;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kOpenMiddle[] = R"(model: small
segments:
  - {from: input, place: enclave}
  - {from: block1_conv2, place: open}
  - {from: fc, place: enclave}
)";
constexpr char kConfidentialHead[] = R"(model: small
segments:
  - {from: input, place: open}
  - {from: fc, place: enclave, confidential: true}
)";

class CutCommandTest : public ::testing::Test {
 protected:
  void SetUp() override { Write("model.onnx", shoji::testing::SmallResNet()); }

  void Write(const std::string& name, ByteSpan content) const {
    ASSERT_TRUE(WriteFileAtomically(folder_.File(name), content).ok());
  }
  CommandResult Run(std::vector<std::string> arguments) const {
    std::vector<std::string> argv = {SHOJI_MODEL_BINARY, "cut", "--model", folder_.File("model.onnx"), "--out", Out()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return RunCommand(argv);
  }
  CommandResult Cut(const std::string& policy, std::vector<std::string> arguments = {}) const {
    Write("policy.yaml", AsBytes(policy));
    arguments.insert(arguments.end(), {"--policy", folder_.File("policy.yaml")});
    return Run(arguments);
  }
  // That nothing was written, and why.
  void ExpectRefused(const CommandResult& result, int exit_code, const std::string& text) const {
    EXPECT_EQ(result.exit_code, exit_code) << result.out << result.err;
    EXPECT_THAT(result.err, HasSubstr(text));
    EXPECT_FALSE(std::filesystem::exists(Out()));
    EXPECT_FALSE(std::filesystem::exists(Out() + ".partial"));
  }
  std::string Out() const { return folder_.File("parts"); }
  Bytes Part(const std::string& name) const { return ReadFile(Out() + "/" + name, size_t{1} << 20).value(); }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(Out())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  const shoji::testing::TempDir folder_;
};

std::vector<std::string> Names(const graph::Graph& graph, const std::vector<graph::ValueId>& ids) {
  std::vector<std::string> names;
  for (const graph::ValueId id : ids) {
    names.push_back(graph.values[id].name);
  }
  return names;
}

TEST_F(CutCommandTest, WritesASegmentAFileAndWhatEachTakesAndGives) {
  const CommandResult result = Cut(kOpenMiddle);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(Files(), UnorderedElementsAre("1-enclave.onnx", "2-open.onnx", "3-enclave.onnx", "cut.yaml"));
  EXPECT_THAT(result.out, HasSubstr("2-open.onnx: nodes 7 to 12, 2 tensors in, 1 out\n"));
  const graph::Graph middle = graph::ImportOnnx(Part("2-open.onnx")).value();
  EXPECT_EQ(middle.nodes.front().name, "block1_conv2");
  EXPECT_EQ(middle.nodes.back().name, "flatten");
  // The skip edge as well.
  EXPECT_THAT(Names(middle, middle.inputs), ElementsAre("stem_relu_out", "block1_relu1_out"));
  EXPECT_THAT(Names(middle, middle.outputs), ElementsAre("flatten_out"));
}

TEST_F(CutCommandTest, TheManifestNamesFilesTensorsAndDigests) {
  ASSERT_EQ(Cut(kOpenMiddle).exit_code, 0);
  const config::Document document = config::Document::Load(Out() + "/cut.yaml").value();
  const config::Fields top = document.root().Map({"model", "model_sha256", "inputs", "outputs", "parts"}).value();
  EXPECT_EQ(top.String("model").value(), "small");
  EXPECT_EQ(top.String("model_sha256").value(), HexEncode(digest::Sha256(shoji::testing::SmallResNet())));
  const std::vector<config::Node> parts = top.List("parts").value();
  ASSERT_EQ(parts.size(), 3U);
  const config::Fields part =
      parts[1].Map({"file", "sha256", "place", "confidential", "first_node", "last_node", "takes", "gives"}).value();
  EXPECT_EQ(part.String("file").value(), "2-open.onnx");
  EXPECT_EQ(part.String("sha256").value(), HexEncode(digest::Sha256(Part("2-open.onnx"))));
  EXPECT_EQ(part.String("place").value(), "open");
  EXPECT_EQ(part.String("first_node").value(), "block1_conv2");
  const std::vector<config::Node> takes = part.List("takes").value();
  ASSERT_EQ(takes.size(), 2U);
  const config::Fields tensor = takes[0].Map({"name", "type", "shape"}).value();
  EXPECT_EQ(tensor.String("name").value(), "stem_relu_out");
  EXPECT_EQ(tensor.String("type").value(), "float32");
  EXPECT_THAT(tensor.Find("shape")->StringList().value(), ElementsAre("1", "4", "8", "8"));
}

TEST_F(CutCommandTest, NamesThatYamlWouldMisreadAreQuoted) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("in: \"put\" # \n", {1, 4}).Node("Relu", {"in: \"put\" # \n"}, {"yes"}).Named("- a\\b");
  Write("model.onnx", builder.Node("Sigmoid", {"yes"}, {"null"}).Output("null").Build());
  const CommandResult result =
      Cut("model: m\nsegments: [{from: input, place: open}, {from: {op: Sigmoid, nth: 1}, place: enclave}]\n");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const config::Document document = config::Document::Load(Out() + "/cut.yaml").value();
  const config::Fields top = document.root().Map({"model", "model_sha256", "inputs", "outputs", "parts"}).value();
  const auto name = [](const config::Node& node) {
    return node.Map({"name", "type", "shape"}).value().String("name").value();
  };
  EXPECT_EQ(name(top.List("inputs").value()[0]), "in: \"put\" # \n");
  EXPECT_EQ(name(top.List("outputs").value()[0]), "null");
}

TEST_F(CutCommandTest, ACutAtASetOfBranchesIsWrittenInItsOrder) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("x", {1, 4}).Node("Relu", {"x"}, {"a"}).Node("Sigmoid", {"a"}, {"b1"}).Node("Relu", {"b1"}, {"b2"});
  builder.Node("Tanh", {"a"}, {"c1"}).Node("Relu", {"c1"}, {"c2"}).Node("Add", {"b2", "c2"}, {"y"}).Output("y");
  Write("model.onnx", builder.Build());
  ASSERT_EQ(Cut("model: m\nsegments: [{from: input, place: open}, {after: [b1, c2], place: enclave}]\n").exit_code, 0);
  const graph::Graph first = graph::ImportOnnx(Part("1-open.onnx")).value();
  EXPECT_EQ(first.nodes.size(), 4U);
  EXPECT_THAT(Names(first, first.outputs), UnorderedElementsAre("b1", "c2"));
}

TEST_F(CutCommandTest, ASetThatDoesNotSeparateIsRefusedWithTheWayRound) {
  ExpectRefused(Cut("model: m\nsegments: [{from: input, place: open}, {from: [block1_conv1], place: enclave}]\n"), 1,
                "policy.yaml: segment 2 (from `block1_conv1`): does not separate the model's input from its output: "
                "`stem_conv`, `stem_bn`, `stem_relu`, `block1_add`");
}

TEST_F(CutCommandTest, AnUnknownNodeIsRefusedWithNearNames) {
  ExpectRefused(Cut("model: m\nsegments: [{from: input, place: open}, {from: block1_conv9, place: enclave}]\n"), 1,
                "segment 2 (from `block1_conv9`): the model has no node `block1_conv9` (did you mean block1_conv1");
}

TEST_F(CutCommandTest, AFolderThatExistsIsLeftAsItIs) {
  std::filesystem::create_directory(Out());
  const CommandResult result = Cut(kOpenMiddle);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("parts exists; cut writes a new folder and overwrites nothing"));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(CutCommandTest, AFolderThatCannotBeMadeIsNamed) {
  Write("policy.yaml", AsBytes(kOpenMiddle));
  const CommandResult result = RunCommand({SHOJI_MODEL_BINARY, "cut", "--model", folder_.File("model.onnx"), "--policy",
                                           folder_.File("policy.yaml"), "--out", folder_.File("none/parts")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot make the folder " + folder_.File("none/parts") + ".partial: No such"));
}

TEST_F(CutCommandTest, AConfidentialSegmentWithoutAKeyIsRefused) {
  ExpectRefused(Cut(kConfidentialHead), 1,
                "give the owner's key with --key FILE, or have one made with --new-key FILE");
  ExpectRefused(Cut(kConfidentialHead, {"--new-key", folder_.File("key")}), 1, "a sealed segment needs --queries N");
  EXPECT_FALSE(std::filesystem::exists(folder_.File("key")));
}

TEST_F(CutCommandTest, AKeyForNothingIsRefused) {
  ExpectRefused(Cut(kOpenMiddle, {"--new-key", folder_.File("key")}), 1, "no segment is `confidential`");
}

TEST_F(CutCommandTest, AKeyFileThatIsMissingOrThereAlreadyIsNamed) {
  ExpectRefused(Cut(kConfidentialHead, {"--key", folder_.File("none"), "--queries", "10"}), 1, folder_.File("none"));
  Write("taken", AsBytes("mine"));
  ExpectRefused(Cut(kConfidentialHead, {"--new-key", folder_.File("taken"), "--queries", "10"}), 1,
                folder_.File("taken"));
  EXPECT_EQ(ReadFile(folder_.File("taken"), 100).value(), ToBytes("mine"));
}

TEST_F(CutCommandTest, ANewKeyIsNotLeftBehindWhereNothingWasCut) {
  // The folder cannot be put in the place of the key.
  ExpectRefused(Cut(kConfidentialHead, {"--new-key", Out(), "--queries", "10"}), 1, Out());
  EXPECT_EQ(Cut(kConfidentialHead, {"--new-key", folder_.File("key"), "--queries", "10"}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_.File("key")));
}

TEST_F(CutCommandTest, AModelWithDynamicDimensionsIsCutInTheShapeThatIsStated) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("x", {-1, 3, -1, -1}).Weight("w", {2, 3, 3, 3}).Node("Conv", {"x", "w"}, {"c"}).Named("conv");
  Write("model.onnx", builder.Node("GlobalAveragePool", {"c"}, {"y"}).Named("pool").Output("y").Build());
  const std::string policy = "model: m\nsegments: [{from: input, place: open}, {from: pool, place: enclave}]\n";
  ExpectRefused(Cut(policy), 1, "model.onnx: input `x` is [`N`,3,`N`,`N`]: dimensions 2 and 3 are dynamic");
  const CommandResult cut = Cut(policy, {"--input-shape", "3x8x6"});
  ASSERT_EQ(cut.exit_code, 0) << cut.err;
  const graph::Graph second = graph::ImportOnnx(Part("2-enclave.onnx")).value();
  EXPECT_EQ(second.values[second.inputs[0]].shape, Shape({1, 2, 6, 4}));
}

TEST_F(CutCommandTest, TheConfidentialPartIsWrittenSealedAndNowhereElse) {
  const CommandResult result =
      Cut(kConfidentialHead, {"--new-key", folder_.File("key"), "--queries", "10", "--results", "top-k:1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(Files(), UnorderedElementsAre("1-open.onnx", "2-enclave.sealed", "cut.yaml"));
  EXPECT_THAT(result.out, HasSubstr("2-enclave.sealed: nodes 13 to 13, 1 tensors in, 1 out; SEALED"));

  const graph::Graph whole = graph::ImportOnnx(shoji::testing::SmallResNet()).value();
  const graph::Node& fc = whole.nodes[graph::FindNode(whole, "fc").value()];
  const ByteSpan weights = whole.values[fc.inputs[1]].constant->bytes();
  const graph::Node& conv = whole.nodes.front();
  const ByteSpan open_weights = whole.values[conv.inputs[1]].constant->bytes();
  const auto holds = [](const Bytes& file, ByteSpan mark) {
    return std::search(file.begin(), file.end(), mark.begin(), mark.end()) != file.end();
  };
  for (const std::string& file : Files()) {
    EXPECT_FALSE(holds(Part(file), weights)) << file;
  }
  EXPECT_TRUE(holds(Part("1-open.onnx"), open_weights));  // such a search finds what is there
  // Nor its digest, by which anybody could test a guess.
  const std::string digest = HexEncode(digest::Sha256(shoji::testing::SmallResNet()));
  EXPECT_FALSE(holds(Part("cut.yaml"), AsBytes(digest)));

  const sealed_model::OwnerKey key = sealed_model::ReadKeyFile(folder_.File("key")).value();
  sealed_model::SealedFile sealed = sealed_model::SealedFile::Open(Out() + "/2-enclave.sealed").value();
  EXPECT_EQ(sealed.header().terms.label, "small, segment 2 of 2");
  EXPECT_EQ(sealed.header().terms.queries_per_release, 10U);
  EXPECT_EQ(sealed.header().terms.results.ToString(), "top-k:1");
  EXPECT_EQ(sealed.header().terms.confidential.extent, sealed_model::ConfidentialNodes::Extent::kAll);
  const sealed_model::FileKey file_key = sealed.KeyFrom(key).value();
  const auto reader = sealed_model::PlaintextReader::Create(std::move(sealed), file_key).value();
  Bytes onnx(reader->size());
  ASSERT_TRUE(reader->Read(onnx).ok());
  EXPECT_TRUE(holds(onnx, weights));
  EXPECT_EQ(graph::ImportOnnx(onnx).value().nodes.front().name, "fc");
}

TEST_F(CutCommandTest, TheLastLayersAreSealedAndTheOthersOpen) {
  ASSERT_EQ(Run({"--layers", "2", "--new-key", folder_.File("key"), "--queries", "10"}).exit_code, 0);
  EXPECT_THAT(Files(), UnorderedElementsAre("1-open.onnx", "2-enclave.sealed", "cut.yaml"));
  const graph::Graph open = graph::ImportOnnx(Part("1-open.onnx")).value();
  EXPECT_EQ(open.nodes.back().name, "block1_relu1");
  EXPECT_THAT(Names(open, open.outputs), ElementsAre("stem_relu_out", "block1_relu1_out"));
}

TEST_F(CutCommandTest, MoreLayersThanThereAreAreRefused) {
  ExpectRefused(Run({"--layers", "5", "--new-key", folder_.File("key"), "--queries", "10"}), 1,
                "model.onnx: the last 5 layers: the model has 4 layers with weights");
}

TEST_F(CutCommandTest, WeightsThatAnotherPartUsesTooAreNotGivenAway) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("x", {1, 4}).Weight("w", {4, 4}).Node("MatMul", {"x", "w"}, {"a"}).Node("MatMul", {"a", "w"}, {"y"});
  Write("model.onnx", builder.Output("y").Build());
  ExpectRefused(Run({"--layers", "1", "--new-key", folder_.File("key"), "--queries", "10"}), 1, "`w`");
  ExpectRefused(
      Cut("model: m\nsegments: [{from: input, place: enclave}, {from: y, place: enclave, confidential: true}]",
          {"--new-key", folder_.File("key"), "--queries", "10"}),
      1, "segment 1 would give away weights of segment 2, which is confidential: node `a` uses `w` too");
}

TEST_F(CutCommandTest, WrongUsageExitsWithTwo) {
  ExpectRefused(Run({}), 2, "");
  ExpectRefused(Run({"--layers", "1", "--policy", folder_.File("policy.yaml")}), 2, "");
  ExpectRefused(Run({"--layers", "0"}), 2, "");
  ExpectRefused(Run({"--layers", "1", "--key", "a", "--new-key", "b", "--queries", "1"}), 2, "");
  ExpectRefused(Run({"--layers", "1", "--key", "a", "--queries", "0"}), 2, "");
  ExpectRefused(Run({"--layers", "1", "--key", "a", "--queries", "9223372036854775808"}), 2, "--queries");
  ExpectRefused(Run({"--layers", "1", "--input-shape", "3,8,8"}), 2, "'3,8,8' is no shape; write it like 3x224x224");
}

TEST_F(CutCommandTest, AnUnknownResultFormIsRefused) {
  ExpectRefused(Cut(kConfidentialHead, {"--new-key", folder_.File("key"), "--queries", "1", "--results", "all"}), 1,
                "scores");
  EXPECT_FALSE(std::filesystem::exists(folder_.File("key")));
}

}  // namespace
}  // namespace shoji::tools
