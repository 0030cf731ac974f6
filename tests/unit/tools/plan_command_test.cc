// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Runs the real shoji-model binary.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/process.h"

namespace shoji::tools {
namespace {

using shoji::testing::CommandResult;
using shoji::testing::RunCommand;
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
  const nlohmann::json plan = nlohmann::json::parse(result.out);
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

TEST_F(PlanCommandTest, PlacementThatIsNotAvailableYetIsRefused) {
  const CommandResult result = Plan("model: small\nsegments: [{from: input, place: blinded}]\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("placement `blinded` of segment 1 is not available yet"));
}

TEST_F(PlanCommandTest, CorruptModelIsNamed) {
  Write("model.onnx", AsBytes("not a model"));
  const CommandResult result = Plan(kPolicy);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("model.onnx: not an ONNX file, or a truncated one"));
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

}  // namespace
}  // namespace shoji::tools
