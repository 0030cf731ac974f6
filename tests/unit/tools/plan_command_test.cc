// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs the real shoji-model binary.

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/digest/sha2.h"
#include "lib/graph/onnx_import.h"
#include "lib/ranges_file/ranges_file.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/process.h"

namespace shoji::tools {
namespace {

using shoji::testing::CommandResult;
using shoji::testing::RunCommand;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class PlanCommandTest : public ::testing::Test {
 protected:
  void SetUp() override { Write("model.onnx", shoji::testing::SmallResNet()); }

  void Write(const std::string& name, ByteSpan content) const {
    ASSERT_TRUE(WriteFileAtomically(folder_.File(name), content).ok());
  }

  CommandResult Plan(const std::string& policy, const std::vector<std::string>& more = {}) const {
    Write("policy.yaml", AsBytes(policy));
    std::vector<std::string> argv = {SHOJI_MODEL_BINARY,          "plan",    "--policy",
                                     folder_.File("policy.yaml"), "--model", folder_.File("model.onnx")};
    argv.insert(argv.end(), more.begin(), more.end());
    return RunCommand(argv);
  }

  // Ranges for every value of the model at hand.
  ranges_file::RangesFile RangesOf(ByteSpan model) const {
    ranges_file::RangesFile file{.model = digest::Sha256(model), .num_images = 1, .ranges = {}};
    const graph::Graph graph = graph::ImportOnnx(model).value();
    for (const graph::Value& value : graph.values) {
      if (value.constant == nullptr) {
        file.ranges[value.name] = {-4, 4};
      }
    }
    return file;
  }
  void WriteModelAndRanges(ByteSpan model) const {
    Write("model.onnx", model);
    Write("model.ranges.yaml", AsBytes(ranges_file::ToYaml(RangesOf(model))));
  }
  nlohmann::json PlanJson(const std::string& policy, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"--output", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult result = Plan(policy, arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }

  const shoji::testing::TempDir folder_;
};

constexpr char kPolicy[] = R"(model: small
segments:
  - {from: input, place: enclave}
  - {from: block1_conv1, place: open, accelerators: [gpu0]}
  - {from: fc, place: enclave}
)";

TEST_F(PlanCommandTest, TextSaysWhatRunsWhereAndWhoSeesWhat) {
  const CommandResult result = Plan(kPolicy);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("model                small\n"));
  EXPECT_THAT(result.out, HasSubstr("closed: only the enclave and the client see the answer"));
  EXPECT_THAT(result.out, HasSubstr("segment 2: open, float32\n  nodes              block1_conv1 to flatten (9)\n"
                                    "  runs on            accelerator gpu0\n"));
  EXPECT_THAT(result.out, HasSubstr("enters             stem_relu_out [1,4,8,8] (1,024 bytes)"));
  EXPECT_THAT(result.out, HasSubstr("leaves             flatten_out [1,4] (16 bytes)"));
  EXPECT_THAT(result.out, HasSubstr("accelerator sees   stem_relu_out [1,4,8,8] and what the segment makes of it; "
                                    "not the answer"));
}

TEST_F(PlanCommandTest, OpenResultIsSaidLoudly) {
  const CommandResult result = Plan("model: small\nsegments: [{from: input, place: open}]\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("OPEN: an accelerator sees the answer; clients need --allow-open-result"));
  EXPECT_THAT(result.out, HasSubstr("input [1,3,8,8] and what the segment makes of it, THE ANSWER INCLUDED"));
}

TEST_F(PlanCommandTest, JsonHoldsTheSameFigures) {
  const CommandResult result = Plan(kPolicy, {"--output", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  nlohmann::json plan = nlohmann::json::parse(result.out);
  EXPECT_EQ(plan["plan_digest"].get<std::string>().size(), 64U);
  EXPECT_EQ(plan["result_opened"], false);
  ASSERT_EQ(plan["segments"].size(), 3U);
  EXPECT_EQ(plan["segments"][1]["place"], "open");
  EXPECT_EQ(plan["segments"][1]["input_bytes"], 1024);
  EXPECT_EQ(plan["segments"][1]["output_bytes"], 16);
  EXPECT_EQ(plan["segments"][1]["accelerator_sees"][0]["name"], "stem_relu_out");
  EXPECT_EQ(plan["segments"][2]["macs"], 16);
  EXPECT_EQ(plan["segments"][2]["parameters"], 20);
}

TEST_F(PlanCommandTest, UnknownNodeFailsWithNearNames) {
  const CommandResult result =
      Plan("model: small\nsegments: [{from: input, place: enclave}, {from: block1_conv7, place: open}]\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, Not(HasSubstr("segment")));
  EXPECT_THAT(result.err, HasSubstr("policy.yaml: segment 2 (from `block1_conv7`): the model has no node "
                                    "`block1_conv7` (did you mean block1_conv1"));
}

TEST_F(PlanCommandTest, MisspelledKeyFailsWithFileLineAndNearKey) {
  const CommandResult result = Plan("model: small\nsegments:\n  - {from: input, plaec: enclave}\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("policy.yaml:3"));
  EXPECT_THAT(result.err, HasSubstr("place"));
}

TEST_F(PlanCommandTest, WhatIsNotAvailableYetIsRefused) {
  const CommandResult result = Plan("model: small\nsegments: [{from: input, place: open, precision: int8}]\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("precision `int8` in the open placement of segment 1 is not available yet"));
}

TEST_F(PlanCommandTest, CorruptModelIsNamed) {
  Write("model.onnx", AsBytes("not a model"));
  const CommandResult result = Plan(kPolicy);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("model.onnx: not an ONNX file, or a truncated one"));
}

TEST_F(PlanCommandTest, TheShapeOfADynamicInputIsStatedByAnOption) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("pixels", {-1, -1, -1, -1}).Weight("w", {2, 3, 3, 3}).Node("Conv", {"pixels", "w"}, {"y"});
  Write("model.onnx", builder.Output("y").Build());
  const std::string policy = "model: m\nsegments: [{from: input, place: open}]\n";
  const CommandResult unsaid = Plan(policy);
  EXPECT_EQ(unsaid.exit_code, 1);
  EXPECT_THAT(unsaid.err, HasSubstr("model.onnx: input `pixels` is [`N`,`N`,`N`,`N`]: dimensions 1, 2 and 3 are "
                                    "dynamic, and only the first, the batch, may be: state what it shall be with "
                                    "--input-shape (3x224x224, say)"));
  const CommandResult said = Plan(policy, {"--input-shape", "3x8x6"});
  EXPECT_EQ(said.exit_code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("pixels [1,3,8,6]"));
}

TEST_F(PlanCommandTest, AStatedShapeThatContradictsTheFileIsRefusedWithBoth) {
  const CommandResult result =
      Plan("model: m\nsegments: [{from: input, place: open}]\n", {"--input-shape", "3x224x224"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("3,8,8], but --input-shape states [3,224,224]"));
  EXPECT_EQ(Plan("model: m\nsegments: [{from: input, place: open}]\n", {"--input-shape", "3by4"}).exit_code, 2);
}

TEST_F(PlanCommandTest, MissingFilesAreNamed) {
  const CommandResult result = RunCommand(
      {SHOJI_MODEL_BINARY, "plan", "--policy", folder_.File("no.yaml"), "--model", folder_.File("model.onnx")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("no.yaml"));
}

TEST_F(PlanCommandTest, WrongUsageExitsWithTwo) {
  EXPECT_EQ(RunCommand({SHOJI_MODEL_BINARY}).exit_code, 2);
  EXPECT_EQ(RunCommand({SHOJI_MODEL_BINARY, "plan"}).exit_code, 2);
  EXPECT_EQ(RunCommand({SHOJI_MODEL_BINARY, "paln"}).exit_code, 2);
  EXPECT_EQ(Plan(kPolicy, {"--output", "xml"}).exit_code, 2);
  EXPECT_EQ(RunCommand({SHOJI_MODEL_BINARY, "--help"}).exit_code, 0);
}

constexpr char kBlinded[] = "model: small\nsegments: [{from: input, place: blinded}]\n";

// The lines of `text` that start with `name`, blanks squeezed.
std::vector<std::string> LinesOf(const std::string& text, const std::string& name) {
  std::vector<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string squeezed;
    for (std::string word; words >> word;) {
      squeezed += (squeezed.empty() ? "" : " ") + word;
    }
    if (squeezed.starts_with(name)) {
      out.push_back(squeezed);
    }
  }
  return out;
}

class PlanLayersTest : public PlanCommandTest {
 protected:
  void SetUp() override { WriteModelAndRanges(shoji::testing::SmallResNet()); }
};

TEST_F(PlanLayersTest, BlindedLayersShowRingTrafficPadAndErrorBound) {
  const CommandResult result = Plan(kBlinded);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("accelerator sees   numbers that are uniformly random, and the weights"));
  EXPECT_THAT(result.out, HasSubstr("closed: only the enclave and the client see the answer"));
  // 8 rows of 3 limb planes of 64 bytes go out, 8 x 8 positions of 4 channels in words of 3 bytes come in.
  EXPECT_THAT(LinesOf(result.out, "stem_conv"),
              ElementsAre(AllOf(HasSubstr("stem_conv 1 blinded 2^24 [-"), EndsWith("] 1,536 768 768 2^-48.1 once"))));
  EXPECT_THAT(LinesOf(result.out, "fc"), ElementsAre(EndsWith("] 192 12 12 2^-52.0 once")));
  EXPECT_THAT(LinesOf(result.out, "each request"), ElementsAre("each request 4,800 2,316 2,316"));
  EXPECT_THAT(result.out,
              HasSubstr("pool of segment 1: pads for 64 requests, 148,224 bytes (masking.pool allows 64 and "
                        "4,294,967,296)"));
}

TEST_F(PlanLayersTest, JsonHoldsTheSameFigures) {
  nlohmann::json plan = PlanJson(kBlinded);
  EXPECT_EQ(plan["masking_source"], "pads");
  ASSERT_EQ(plan["layers"].size(), 4U);
  const nlohmann::json& stem = plan["layers"][0];
  EXPECT_EQ(stem["name"], "stem_conv");
  EXPECT_EQ(stem["segment"], 0);
  EXPECT_EQ(stem["place"], "blinded");
  EXPECT_EQ(stem["ring_bits"], 24);
  EXPECT_LT(stem["accumulator_lo"], 0);
  EXPECT_GT(stem["accumulator_hi"], 0);
  EXPECT_EQ(stem["bytes_out"], 1536);
  EXPECT_EQ(stem["bytes_in"], 768);
  EXPECT_EQ(stem["pad_bytes"], 768);
  EXPECT_EQ(stem["num_checks"], 1);
  EXPECT_NEAR(stem["log2_error_bound"].get<double>(), -48.09, 0.01);
  EXPECT_EQ(plan["bytes_out_per_request"], 4800);
  EXPECT_EQ(plan["bytes_in_per_request"], 2316);
  EXPECT_EQ(plan["pad_bytes_per_request"], 2316);
  ASSERT_EQ(plan["pools"].size(), 1U);
  EXPECT_EQ(plan["pools"][0]["requests"], 64);
}

TEST_F(PlanLayersTest, ALayerBelongsToTheSegmentThatHoldsItsNode) {
  nlohmann::json plan = PlanJson(
      "model: small\nsegments:\n  - {from: input, place: blinded}\n  - {from: block1_conv2, place: verified}\n"
      "  - {from: pool, place: enclave}\n  - {from: fc, place: enclave, precision: int8}\n");
  ASSERT_EQ(plan["layers"].size(), 4U);
  const std::vector<std::pair<std::string, int>> expected = {
      {"stem_conv", 0}, {"block1_conv1", 0}, {"block1_conv2", 1}, {"fc", 3}};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(plan["layers"][i]["name"], expected[i].first);
    EXPECT_EQ(plan["layers"][i]["segment"], expected[i].second);
  }
  EXPECT_EQ(plan["layers"][2]["bytes_out"], 8 * 64);  // one plane a row, in the clear
  EXPECT_EQ(plan["layers"][2]["pad_bytes"], 0);
  EXPECT_EQ(plan["layers"][2]["num_checks"], 1);
  EXPECT_EQ(plan["layers"][3]["bytes_out"], 0);
  EXPECT_EQ(plan["layers"][3]["num_checks"], 0);
  EXPECT_TRUE(plan["layers"][3]["ring_bits"].is_null());
}

TEST_F(PlanLayersTest, RegionsApartHavePoolsOfTheirOwn) {
  nlohmann::json plan = PlanJson(
      "model: small\nsegments:\n  - {from: input, place: blinded}\n  - {from: block1_conv2, place: blinded}\n"
      "  - {from: pool, place: enclave}\n  - {from: fc, place: blinded}\nmasking: {pool: {memory: 6KiB}}\n");
  ASSERT_EQ(plan["pools"].size(), 2U);
  EXPECT_EQ(plan["pools"][0]["first_segment"], 0);
  EXPECT_EQ(plan["pools"][0]["end_segment"], 2);
  EXPECT_EQ(plan["pools"][0]["pad_bytes"], 3 * 768);
  EXPECT_EQ(plan["pools"][0]["requests"], 1);
  EXPECT_EQ(plan["pools"][1]["pad_bytes"], 12);
  EXPECT_EQ(plan["pools"][1]["requests"], 64);
}

TEST_F(PlanLayersTest, SharesGoToBothOperatorsAndTakeNoPads) {
  const std::string policy = std::string(kBlinded) + "masking: {source: shares}\n";
  nlohmann::json plan = PlanJson(policy);
  EXPECT_EQ(plan["masking_source"], "shares");
  EXPECT_EQ(plan["bytes_out_per_request"], 2 * 4800);
  EXPECT_EQ(plan["bytes_in_per_request"], 2 * 2316);
  EXPECT_EQ(plan["pad_bytes_per_request"], 0);
  EXPECT_TRUE(plan["pools"].empty());
  EXPECT_THAT(Plan(policy).out, HasSubstr("shares of two operators that must not collude"));
}

TEST_F(PlanLayersTest, StandInsLeaveNoTraceInTheDigest) {
  const std::string one = "model: small\nsegments: [{from: input, place: blinded, accelerators: [gpu0]}]\n";
  EXPECT_EQ(PlanJson(kBlinded)["plan_digest"], PlanJson(one)["plan_digest"]);
}

TEST_F(PlanLayersTest, SharesForOneAcceleratorAreRefused) {
  const CommandResult result = Plan(
      "model: small\nsegments: [{from: input, place: blinded, accelerators: [gpu0]}]\n"
      "masking: {source: shares}\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("needs accelerators of at least two operators"));
}

TEST_F(PlanLayersTest, UncheckedLayersAreSaidLoudly) {
  const CommandResult result = Plan("model: small\nsegments: [{from: input, place: blinded, verify: false}]\n");
  EXPECT_THAT(result.out, HasSubstr("answers            NOT CHECKED"));
  EXPECT_THAT(LinesOf(result.out, "stem_conv"), ElementsAre(EndsWith("] 1,536 768 768 - NO")));
}

TEST_F(PlanLayersTest, LargeOutputsAreCheckedTwiceAndLargeSumsTakeTheWideRing) {
  shoji::testing::OnnxBuilder builder;
  builder.Input("input", {1, 1, 1, 5000}).Weight("w", {1, 1, 1, 1}).Weight("fc.w", {2, 5000});
  builder.Node("Conv", {"input", "w"}, {"conv_out"}).Named("conv");
  builder.Node("Flatten", {"conv_out"}, {"flatten_out"}).Named("flatten");
  builder.Node("Gemm", {"flatten_out", "fc.w"}, {"logits"}).Named("fc").Attribute("transB", int64_t{1});
  WriteModelAndRanges(builder.Output("logits").Build());
  const CommandResult result = Plan(kBlinded);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(LinesOf(result.out, "conv"), ElementsAre(AllOf(HasSubstr("2^24"), EndsWith("2^-79.4 twice"))));
  EXPECT_THAT(LinesOf(result.out, "fc"), ElementsAre(AllOf(HasSubstr("2^32"), EndsWith("once"))));
}

TEST_F(PlanLayersTest, PoolWithoutRoomForOneRequestIsRefused) {
  const CommandResult result = Plan(std::string(kBlinded) + "masking: {pool: {memory: 2KiB}}\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("policy.yaml: masking.pool holds not even one pad: a request needs one of 2316"));
}

TEST_F(PlanLayersTest, Float32NeedsNoRanges) {
  Write("model.ranges.yaml", AsBytes("not ranges"));
  nlohmann::json plan = PlanJson(kPolicy);
  EXPECT_TRUE(plan["layers"].is_array());
  EXPECT_TRUE(plan["layers"].empty());
  EXPECT_TRUE(plan["masking_source"].is_null());
}

TEST_F(PlanCommandTest, WithoutRangesTheRestIsShownAndHowToMakeThem) {
  const CommandResult result = Plan(kBlinded);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("segment 1: blinded, int8\n"));
  EXPECT_THAT(result.out, HasSubstr("layers               not shown: int8 needs calibrated ranges, and there is no " +
                                    folder_.File("model.ranges.yaml") + "; make it with: shoji-model calibrate"));
  nlohmann::json plan = PlanJson(kBlinded);
  EXPECT_TRUE(plan["layers"].is_null());
  EXPECT_THAT(plan["layers_missing"].get<std::string>(), HasSubstr("shoji-model calibrate"));
}

TEST_F(PlanCommandTest, RangesMayLieElsewhereAndMustBeOfThisModel) {
  ranges_file::RangesFile ranges = RangesOf(shoji::testing::SmallResNet());
  Write("other.yaml", AsBytes(ranges_file::ToYaml(ranges)));
  EXPECT_EQ(PlanJson(kBlinded, {"--ranges", folder_.File("other.yaml")})["layers"].size(), 4U);
  ranges.model.fill(7);
  Write("other.yaml", AsBytes(ranges_file::ToYaml(ranges)));
  const CommandResult foreign = Plan(kBlinded, {"--ranges", folder_.File("other.yaml")});
  EXPECT_EQ(foreign.exit_code, 1);
  EXPECT_THAT(foreign.err, HasSubstr("other.yaml holds the ranges of another model file"));
  const CommandResult missing = Plan(kBlinded, {"--ranges", folder_.File("none.yaml")});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("none.yaml"));
}

TEST_F(PlanCommandTest, ValueWithoutARangeIsNamed) {
  ranges_file::RangesFile ranges = RangesOf(shoji::testing::SmallResNet());
  ranges.ranges.erase("input");
  Write("model.ranges.yaml", AsBytes(ranges_file::ToYaml(ranges)));
  const CommandResult result = Plan(kBlinded);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("model.onnx: "), HasSubstr("input")));
}

}  // namespace
}  // namespace shoji::tools
