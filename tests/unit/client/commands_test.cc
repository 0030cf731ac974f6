// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/commands/commands.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/commands/arguments.h"
#include "client/commands/load.h"
#include "client/commands/report.h"
#include "lib/base/reason.h"
#include "tests/support/process.h"

namespace shoji::client {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

Answer SomeAnswer(const std::vector<float>& scores, std::vector<std::string> labels) {
  auto model = std::make_shared<Model>();
  model->manifest.name = "pets";
  model->manifest.outputs = {{"y", DataType::kFloat32, Shape({1, static_cast<int64_t>(scores.size())})}};
  model->labels = std::move(labels);
  Answer answer;
  answer.outputs.push_back(Tensor::Of<float>(model->manifest.outputs[0].shape, scores));
  answer.model = std::move(model);
  return answer;
}

TEST(RankTest, SortsByScoreAndTakesTheSoftmaxOfScores) {
  const auto ranked = Rank(std::vector<float>{0, 2, 1}, {"a", "b", "c"}, 2);
  ASSERT_EQ(ranked.size(), 2U);
  EXPECT_EQ(ranked[0].label, "b");
  EXPECT_EQ(ranked[1].label, "c");
  EXPECT_NEAR(*ranked[0].probability, std::exp(2) / (1 + std::exp(1) + std::exp(2)), 1e-9);
}

TEST(RankTest, LeavesProbabilitiesAsTheyAre) {
  const auto ranked = Rank(std::vector<float>{0.25F, 0.75F}, {}, 5);
  ASSERT_EQ(ranked.size(), 2U);
  EXPECT_EQ(ranked[0].label, "class 1");
  EXPECT_EQ(ranked[0].probability, 0.75);
}

TEST(RankTest, CopesWithHugeScoresAndPutsNanLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto ranked = Rank(std::vector<float>{nan, -8000.F, 8000.F, nan}, {}, 4);
  EXPECT_EQ(ranked[0].index, 2U);
  EXPECT_EQ(ranked[1].index, 1U);
  EXPECT_EQ(Rank(std::vector<float>{5000.F, 4000.F}, {}, 1)[0].probability, 1.0);
  EXPECT_TRUE(Rank({}, {}, 3).empty());
}

TEST(ReportTest, PrintsLabelsThatCannotDriveATerminal) {
  const std::string text = AnswerText("cat.png", SomeAnswer({1, 2}, {"\x1b[2Jcat", "dog"}), 5);
  EXPECT_THAT(text, HasSubstr("?[2Jcat"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(PrintableTest, ReplacesEveryControlAndReorderingMarkAndNothingElse) {
  const auto utf8 = [](unsigned code) -> std::string {
    const auto low = [](unsigned bits) { return static_cast<char>(0x80 | (bits & 0x3F)); };
    if (code < 0x80) {
      return {static_cast<char>(code)};
    }
    if (code < 0x800) {
      return {static_cast<char>(0xC0 | code >> 6), low(code)};
    }
    return {static_cast<char>(0xE0 | code >> 12), low(code >> 6), low(code)};
  };
  for (unsigned code = 1; code < 0x10000; ++code) {
    const bool is_control = code < 0x20 || (code >= 0x7F && code < 0xA0);
    const auto in = [code](unsigned from, unsigned to) { return code >= from && code <= to; };
    const bool is_reordering = code == 0x61C || in(0x200B, 0x200F) || in(0x202A, 0x202E) || in(0x2060, 0x206F);
    const bool is_separator = in(0x2028, 0x2029) || code == 0xFEFF;
    const std::string text = "a" + utf8(code) + "b";
    const std::string printed = Printable(text);
    if (in(0xD800, 0xDFFF)) {
      EXPECT_EQ(printed, "a???b") << "no UTF-8: " << std::hex << code;
    } else if (is_control || is_reordering || is_separator) {
      EXPECT_EQ(printed, "a?b") << std::hex << code;
    } else {
      EXPECT_EQ(printed, text) << std::hex << code;
    }
  }
}

TEST(PrintableTest, ReplacesBytesThatAreNoUtf8) {
  EXPECT_EQ(Printable("x\xC2"), "x?");  // what follows on the screen would complete it
  EXPECT_EQ(Printable("x\xE2\x80"), "x??");
  EXPECT_EQ(Printable("x\x9B"
                      "31m"),
            "x?31m");
  EXPECT_EQ(Printable("\xC0\x8A"), "??") << "an overlong line feed";
  EXPECT_EQ(Printable("\xF0\x9F\x90\x88 \xF4\x90\x80\x80"), "\xF0\x9F\x90\x88 ????");
}

TEST(ReportTest, PrintsLabelsWithoutC1AndBidiMarks) {
  const std::string text = AnswerText("cat.png",
                                      SomeAnswer({1, 2}, {"\xC2\x9B"
                                                          "31mcat",
                                                          "\xE2\x80\xAE"
                                                          "god"}),
                                      5);
  EXPECT_THAT(text, Not(HasSubstr("\xC2\x9B")));
  EXPECT_THAT(text, Not(HasSubstr("\xE2\x80\xAE")));
  EXPECT_THAT(text, HasSubstr("31mcat"));
}

TEST(ReportTest, AnswersThatTheirOwnerLimitsHaveNoProbabilities) {
  for (const char* rule : {"top-k:1", "rounded:1"}) {
    Answer answer = SomeAnswer({0, 0.8F, 0}, {"cat", "dog", "eel"});
    auto model = std::make_shared<Model>(*answer.model);
    model->manifest.sealed = {*attest::ResultRule::Parse(rule), 10};
    answer.model = model;
    const std::string text = AnswerText("cat.png", answer, 5);
    EXPECT_THAT(text, HasSubstr("1  dog  score 0.8\n"));
    EXPECT_THAT(text, Not(HasSubstr("probability")));
    EXPECT_THAT(text, HasSubstr(std::string("lets them leave: ") + rule));
    auto json = nlohmann::json::parse(AnswerJson("cat.png", answer, 5));
    EXPECT_FALSE(json["top"][0].contains("probability"));
  }
}

TEST(ReportTest, JsonIsPrintableAscii) {
  const std::string json = AnswerJson("c\x7F\xC2\x9B.png",
                                      SomeAnswer({1, 2}, {"\xC2\x9B"
                                                          "31mcat\x7F",
                                                          "\xE2\x80\xAEgod"}),
                                      5);
  for (const char c : json) {
    EXPECT_TRUE((c >= 0x20 && c < 0x7F) || c == '\n') << json;
  }
  EXPECT_THAT(json, HasSubstr("\\u007f"));
}

TEST(WhatIsShownTest, TheOperatorsWordsCannotHideThatTheyAreAWarning) {
  attest::ModelManifest model;
  model.opened = {{"a", "z", {"\r\x1b[2Kbob"}, {{"x\x1b[2K", DataType::kFloat32, Shape({1, 4})}}}};
  EXPECT_EQ(WhatIsShown(model), "x?[2K [1,4] to the accelerators of ??[2Kbob");
}

TEST(CheckOpensNoMoreTest, RefusesToGoOnWithoutTheChecks) {
  attest::ModelManifest first;
  first.all_verified = true;
  attest::ModelManifest now = first;
  EXPECT_TRUE(CheckOpensNoMore(first, now).ok());
  now.all_verified = false;
  const absl::Status refused = CheckOpensNoMore(first, now);
  EXPECT_TRUE(IsRefusal(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("no longer all checked"));
  EXPECT_TRUE(CheckOpensNoMore(now, first).ok()) << "more checks are no weakening";
}

TEST(ReportTest, JsonHoldsRawScoresAndEveryOutput) {
  auto json = nlohmann::json::parse(AnswerJson("cat.png", SomeAnswer({1.5F, -2.25F}, {"cat", "dog"}), 1));
  EXPECT_EQ(json["picture"], "cat.png");
  EXPECT_EQ(json["top"].size(), 1U);
  EXPECT_EQ(json["top"][0]["label"], "cat");
  EXPECT_EQ(json["top"][0]["score"], 1.5);
  EXPECT_EQ(json["outputs"][0]["values"], nlohmann::json({1.5, -2.25}));
  EXPECT_EQ(json["outputs"][0]["shape"], nlohmann::json({1, 2}));
}

TEST(ReportTest, JsonErrorNamesCodeAndReason) {
  auto json = nlohmann::json::parse(ErrorJson("cat.png", ErrorOf(Reason::kBadInput)));
  EXPECT_EQ(json["error"]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(json["error"]["reason"], "BAD_INPUT");
}

TEST(ArgumentsTest, ReadsTimes) {
  EXPECT_EQ(*ParseDuration("500ms"), milliseconds(500));
  EXPECT_EQ(*ParseDuration("10s"), milliseconds(10000));
  EXPECT_EQ(*ParseDuration("2m"), milliseconds(120000));
  EXPECT_EQ(*ParseDuration("1h"), milliseconds(3'600'000));
  for (const char* bad : {"", "s", "10", "25h", "-1s", "0s", "1.5s", "99999999999999999999s", "1000000s", "10s "}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

TEST(ArgumentsTest, AWaitMayAlsoBeNone) {
  Arguments arguments;
  EXPECT_EQ(*ParseWait(arguments), std::nullopt);
  for (const char* none : {"0", "0s", "0ms"}) {
    arguments.wait = none;
    EXPECT_EQ(*ParseWait(arguments), milliseconds(0)) << none;
  }
  arguments.wait = "3s";
  EXPECT_EQ(*ParseWait(arguments), milliseconds(3000));
  arguments.wait = "0h";
  EXPECT_FALSE(ParseWait(arguments).ok());
}

TEST(ArgumentsTest, ReadsDigests) {
  EXPECT_EQ((*ParseDigest(std::string(63, '0') + "f", "x"))[31], 15);
  EXPECT_FALSE(ParseDigest(std::string(63, '0'), "x").ok());
  EXPECT_FALSE(ParseDigest(std::string(63, '0') + "g", "x").ok());
  EXPECT_FALSE(ParseDigest("-1" + std::string(62, '0'), "x").ok());
}

// The commands' exit code and what they say, with no server in reach.
struct Outcome {
  int code;
  std::string err;
};

Outcome RunInferWith(const Arguments& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = RunInfer(arguments, out, err);
  return {code, err.str()};
}

TEST(InferCommandTest, UsageErrorsSayWhatIsWrong) {
  Arguments arguments;
  arguments.server = "127.0.0.1";
  arguments.plaintext = true;
  EXPECT_EQ(RunInferWith(arguments).code, kExitUsage);
  arguments.server = "127.0.0.1:1";
  arguments.allow_simulated = true;
  EXPECT_THAT(RunInferWith(arguments).err, HasSubstr("--simulated-key"));
  arguments.simulated_key_files = {"/nonexistent/key.pem"};
  EXPECT_THAT(RunInferWith(arguments).err, HasSubstr("/nonexistent/key.pem"));
  arguments.allow_simulated = false;
  arguments.deadline = "soon";
  EXPECT_THAT(RunInferWith(arguments).err, HasSubstr("'soon' is not a time"));
  arguments.deadline = "1s";
  arguments.token_file = "/nonexistent/token";
  EXPECT_THAT(RunInferWith(arguments).err, HasSubstr("/nonexistent/token"));
  EXPECT_EQ(RunInferWith(arguments).code, kExitUsage);
}

TEST(InferCommandTest, SaysThatTheServerIsDown) {
  Arguments arguments;
  arguments.server = "unix:/nonexistent/shoji.sock";
  arguments.model = "pets";
  arguments.deadline = "300ms";
  const Outcome outcome = RunInferWith(arguments);
  EXPECT_EQ(outcome.code, kExitFailure);
  EXPECT_THAT(outcome.err, HasSubstr("UNAVAILABLE"));
}

TEST(InferCommandTest, SaysAtOnceWhoDoesNotAnswerAndForHowLongItIsTried) {
  Arguments arguments;
  arguments.server = "unix:/nonexistent/shoji.sock";
  arguments.model = "pets";
  arguments.deadline = "100ms";
  arguments.wait = "2s";
  const SteadyTime start = std::chrono::steady_clock::now();
  const Outcome outcome = RunInferWith(arguments);
  EXPECT_EQ(outcome.code, kExitFailure);
  EXPECT_THAT(outcome.err,
              ::testing::StartsWith("WAITING for up to 2 s: nobody answers at unix:/nonexistent/shoji.sock"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(2)) << "also beyond the time of a call";
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4)) << "and no longer";
  EXPECT_THAT(outcome.err, HasSubstr("shoji: UNAVAILABLE: nobody answers at unix:/nonexistent/shoji.sock"));
  arguments.wait = "soon";
  EXPECT_THAT(RunInferWith(arguments).err, HasSubstr("'soon' is not a time"));
}

TEST(InferCommandTest, ANameThatDoesNotResolveIsSaidAtOnceAndTriedForAsLongAsItIsAskedTo) {
  Arguments arguments;
  arguments.server = "host.invalid:8443";  // RFC 6761: never a host
  arguments.plaintext = true;
  arguments.model = "pets";
  arguments.wait = "1s";
  const SteadyTime start = std::chrono::steady_clock::now();
  Outcome outcome = RunInferWith(arguments);
  EXPECT_EQ(outcome.code, kExitFailure);
  EXPECT_THAT(outcome.err, ::testing::StartsWith("WAITING for up to "));
  EXPECT_THAT(outcome.err, HasSubstr("cannot resolve 'host.invalid': is the host's name in --server right"));
  EXPECT_THAT(outcome.err, HasSubstr("\nshoji: UNAVAILABLE: cannot resolve 'host.invalid'"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5)) << "long before the deadline";
  arguments.wait = "0s";
  outcome = RunInferWith(arguments);
  EXPECT_THAT(outcome.err, ::testing::StartsWith("shoji: UNAVAILABLE: cannot resolve 'host.invalid'"));
}

TEST(LoadCommandTest, WhatIsWrittenAtTheEndIsTriedBeforeTheServer) {
  Arguments arguments;
  arguments.server = "unix:/nonexistent/shoji.sock";
  arguments.model = "pets";
  const testing::TempDir folder;
  const auto run = [&arguments](const LoadArguments& load) {
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_EQ(RunLoad(arguments, load, out, err), kExitUsage);
    return err.str();
  };
  LoadArguments load;
  load.report_file = folder.File("none/report.html");
  EXPECT_THAT(run(load), HasSubstr("--report: cannot create " + load.report_file));
  load.report_file.clear();
  load.hgrm_file = folder.path();
  EXPECT_THAT(run(load), HasSubstr("--hgrm: cannot write " + folder.path() + ": it is a folder"));
  load.hgrm_file = load.raw_file = folder.File("both");
  EXPECT_THAT(run(load), HasSubstr("both: --raw and --hgrm would write the same file"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "trying leaves nothing";
}

TEST(VerifyCommandTest, SaysThatTheServerIsDown) {
  Arguments arguments;
  arguments.server = "unix:/nonexistent/shoji.sock";
  arguments.deadline = "300ms";
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(RunVerify(arguments, out, err), kExitUnreachable);
  EXPECT_EQ(RunModels(arguments, out, err), kExitFailure);
  EXPECT_EQ(out.str(), "");
  EXPECT_THAT(err.str(), HasSubstr("shoji: "));
}

}  // namespace
}  // namespace shoji::client
