// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/telemetry/log.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace shoji::telemetry {
namespace {

using ::testing::HasSubstr;

const SystemTime kTime(std::chrono::milliseconds(1767225600123));

LogLine Line(const std::vector<LogField>& fields) { return {kTime, LogLevel::kInfo, "daemon", "event", fields}; }

TEST(LogTest, TextHoldsTimeLevelProcessEventAndFields) {
  const std::vector<LogField> fields = {{"method", "Infer"}, {"bytes", size_t{12}}, {"delta", -3}, {"ms", 1.5}};
  EXPECT_EQ(FormatText(Line(fields)),
            "2026-01-01T00:00:00.123Z info daemon event method=Infer bytes=12 delta=-3 ms=1.5");
}

TEST(LogTest, TextQuotesWhatCouldForgeAFieldOrALine) {
  const std::vector<LogField> fields = {{"a", "x y=1"}, {"b", "two\nlines"}, {"c", "say \"hi\""}, {"d", ""}};
  EXPECT_THAT(FormatText(Line(fields)), HasSubstr(R"(a="x y=1" b="two\u000alines" c="say \"hi\"" d="")"));
}

TEST(LogTest, JsonIsValidWhateverTheValuesHold) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) {
    every_byte.push_back(static_cast<char>(i));
  }
  const std::vector<LogField> fields = {
      {"bytes", every_byte}, {"n", uint64_t{7}}, {"x", std::numeric_limits<double>::infinity()}};
  nlohmann::json parsed = nlohmann::json::parse(FormatJson(Line(fields)));
  EXPECT_EQ(parsed["time"], "2026-01-01T00:00:00.123Z");
  EXPECT_EQ(parsed["level"], "info");
  EXPECT_EQ(parsed["process"], "daemon");
  EXPECT_EQ(parsed["event"], "event");
  EXPECT_EQ(parsed["n"], 7);
  EXPECT_TRUE(parsed["x"].is_null());
}

TEST(LogTest, LinesBelowTheLevelAreNotWritten) {
  const testing::FakeClock clock;
  Logger logger("daemon", {.level = LogLevel::kWarning, .format = LogFormat::kText}, clock);
  ::testing::internal::CaptureStderr();
  logger.Debug("unseen");
  logger.Info("unseen");
  logger.Warning("seen", {{"n", 1}});
  logger.Error("{} %s is no format", {});
  const std::string output = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(output,
            "2026-01-01T00:00:00.000Z warning daemon seen n=1\n"
            "2026-01-01T00:00:00.000Z error daemon {} %s is no format\n");
}

TEST(LogTest, RateLimitedWarningCountsWhatItHeldBack) {
  testing::FakeClock clock;
  Logger logger("daemon", {}, clock);
  RateLimit limit(clock, std::chrono::seconds(10));
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 5; ++i) {
    logger.Warning(limit, "busy", {});
  }
  clock.Advance(std::chrono::seconds(10));
  logger.Warning(limit, "busy", {});
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "2026-01-01T00:00:00.000Z warning daemon busy\n"
            "2026-01-01T00:00:10.000Z warning daemon busy held_back=4\n");
}

TEST(LogTest, OptionsAreReadAndDefaulted) {
  const auto read = [](const std::string& text) {
    const config::Document document = *config::Document::Parse(text, "x.yaml");
    return ReadLogOptions(*document.root().Map({"log"}));
  };
  EXPECT_EQ(read("{}")->level, LogLevel::kInfo);
  EXPECT_EQ(read("log: {level: error, format: json}")->level, LogLevel::kError);
  EXPECT_EQ(read("log: {level: error, format: json}")->format, LogFormat::kJson);
  EXPECT_THAT(std::string(read("log: {levl: error}").status().message()), HasSubstr("did you mean level"));
  EXPECT_THAT(std::string(read("log: {format: xml}").status().message()), HasSubstr("one of text, json"));
}

}  // namespace
}  // namespace shoji::telemetry
