// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The parts of `shoji load` that need no server.
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/load/html_report.h"
#include "client/load/measurement.h"
#include "client/load/options.h"
#include "client/load/schedule.h"
#include "client/load/svg_chart.h"
#include "client/load/text_report.h"
#include "lib/base/reason.h"

namespace shoji::client::load {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SweepTest, IsOneLevelOrFirstToLastByStep) {
  EXPECT_THAT(*ParseSweep("4", true), ElementsAre(4));
  EXPECT_THAT(*ParseSweep("1:16:5", true), ElementsAre(1, 6, 11, 16));
  EXPECT_THAT(*ParseSweep("1:15:5", true), ElementsAre(1, 6, 11));
  EXPECT_THAT(*ParseSweep("0.5:1.5:0.5", false), ElementsAre(0.5, 1, 1.5));
  EXPECT_THAT(*ParseSweep("7:7:1", true), ElementsAre(7));
}

TEST(SweepTest, AnythingElseIsAnErrorThatSaysWhatWasMeant) {
  for (const char* wrong : {"", "0", "-1", "x", "1:", "1:2", "2:1:1", "1:2:0", "1:2:1:1", "1e3", "1.5", "nan", "inf",
                            "99999999999", " 1", "1 "}) {
    const absl::Status status = ParseSweep(wrong, true).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_THAT(std::string(status.message()), HasSubstr("sweep first:last:step")) << wrong;
  }
  EXPECT_THAT(std::string(ParseSweep("1:5000:1", true).status().message()), HasSubstr("more than 1000 levels"));
}

Measurement WithLatencies(std::initializer_list<milliseconds> latencies) {
  Measurement m;
  m.took = seconds(1);
  for (const milliseconds latency : latencies) {
    m.latency.Record(latency);
    ++m.answered;
  }
  return m;
}

TEST(SloTest, BoundsQuantilesErrorsAndRate) {
  Measurement m = WithLatencies({milliseconds(10), milliseconds(20), milliseconds(30), milliseconds(100)});
  m.failed = 1;
  EXPECT_TRUE(m.Keeps(*ParseSlo("p50=20.1ms")));
  EXPECT_FALSE(m.Keeps(*ParseSlo("p50=19ms")));
  EXPECT_TRUE(m.Keeps(*ParseSlo("p99.9=0.2s")));
  EXPECT_FALSE(m.Keeps(*ParseSlo("max=99ms")));
  EXPECT_TRUE(m.Keeps(*ParseSlo("errors=20%")));
  EXPECT_FALSE(m.Keeps(*ParseSlo("errors=19.9%")));
  EXPECT_TRUE(m.Keeps(*ParseSlo("rate=4")));
  EXPECT_FALSE(m.Keeps(*ParseSlo("rate=4.1")));
}

TEST(SloTest, NothingAnsweredKeepsNoBoundOnLatency) {
  EXPECT_FALSE(Measurement().Keeps(*ParseSlo("p50=1s")));
  EXPECT_FALSE(Measurement().Keeps(*ParseSlo("errors=100%")));
}

TEST(SloTest, AQuantileThatTheReportDoesNotStateIsRefusedWithThoseThatItDoes) {
  for (const char* wrong : {"p97=1s", "p0=1s", "p100=1s", "p99.99=1s", "p099=1s", "p99.90=1s", "p101=1s", "px=1s"}) {
    EXPECT_THAT(std::string(ParseSlo(wrong).status().message()),
                HasSubstr("'" + std::string(wrong) + "': the report states p50, p90, p95, p99, p99.9 and max"));
  }
  for (const Quantile& quantile : kQuantiles) {
    const absl::StatusOr<Slo> slo = ParseSlo(std::string(quantile.name) + "=1s");
    ASSERT_TRUE(slo.ok()) << slo.status();
    EXPECT_EQ(slo->quantile, quantile.value);
  }
}

TEST(SloTest, AnythingElseIsAnErrorWithExamples) {
  for (const char* wrong : {"", "p99", "p99=", "p99=50", "errors=1", "rate=fast", "p99=-1ms", "=1"}) {
    EXPECT_THAT(std::string(ParseSlo(wrong).status().message()), HasSubstr("p99=50ms")) << wrong;
  }
}

TEST(ScheduleTest, ConstantTimesDoNotDrift) {
  Schedule schedule(Arrival::kConstant, 3, 1);
  nanoseconds last{0};
  for (int i = 0; i <= 3'000'000; ++i) {
    last = schedule.Next();
  }
  EXPECT_EQ(last, seconds(1'000'000));
}

TEST(ScheduleTest, PoissonArrivalsHaveTheMeanTheSpreadAndTheSeed) {
  Schedule schedule(Arrival::kPoisson, 1000, 7);
  Schedule again(Arrival::kPoisson, 1000, 7);
  Schedule other(Arrival::kPoisson, 1000, 8);
  constexpr int kCount = 200'000;
  double sum = 0;
  double squares = 0;
  bool differs = false;
  nanoseconds before{0};
  for (int i = 0; i < kCount; ++i) {
    const nanoseconds at = schedule.Next();
    ASSERT_EQ(at, again.Next());
    differs = differs || at != other.Next();
    ASSERT_GE(at, before);
    const double gap = std::chrono::duration<double>(at - before).count();
    sum += gap;
    squares += gap * gap;
    before = at;
  }
  EXPECT_TRUE(differs);
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 1e-3, 1e-5);
  EXPECT_NEAR(std::sqrt(squares / kCount - mean * mean), 1e-3, 2e-5);  // an exponential's is its mean
}

class RecorderTest : public ::testing::Test {
 protected:
  Sample At(milliseconds intended, milliseconds sent, milliseconds done,
            const absl::Status& status = absl::OkStatus()) {
    Sample sample;
    sample.intended = begin_ + intended;
    sample.sent = begin_ + sent;
    sample.done = begin_ + done;
    sample.status = status;
    return sample;
  }
  const SteadyTime begin_ = SteadyTime(std::chrono::hours(1));
};

TEST_F(RecorderTest, LatencyCountsFromTheIntendedTimeAndServiceFromTheSending) {
  Recorder recorder(Mode::kRate, 100, nullptr);
  recorder.Begin(begin_);
  recorder.Record(At(milliseconds(0), milliseconds(0), milliseconds(10)));
  recorder.Record(At(milliseconds(10), milliseconds(500), milliseconds(510)));
  recorder.Dropped(begin_ + milliseconds(20), begin_ + milliseconds(20));
  recorder.Record(At(milliseconds(30), milliseconds(30), milliseconds(35), ErrorOf(Reason::kOverloaded)));
  const Measurement m = recorder.Finish(begin_ + seconds(1), milliseconds(100));
  EXPECT_EQ(m.answered, 2U);
  EXPECT_EQ(m.failed, 1U);
  EXPECT_EQ(m.dropped, 1U);
  EXPECT_EQ(m.late, 1U);
  EXPECT_EQ(m.requests(), 4U);
  EXPECT_EQ(m.latency.max(), milliseconds(500));
  EXPECT_EQ(m.service.max(), milliseconds(10));
  EXPECT_EQ(m.latency.count(), 2U) << "errors are apart";
  ASSERT_EQ(m.errors.size(), 1U);
  EXPECT_EQ(m.errors.begin()->first, "RESOURCE_EXHAUSTED (OVERLOADED)");
  EXPECT_EQ(m.errors.begin()->second.max(), milliseconds(5));
  EXPECT_DOUBLE_EQ(m.achieved_rate(), 2);
  EXPECT_DOUBLE_EQ(m.error_share(), 0.5);
}

TEST_F(RecorderTest, MemoryDoesNotGrowWithTimeAndNothingIsLost) {
  Recorder recorder(Mode::kRate, 100, nullptr);
  recorder.Begin(begin_);
  for (int i = 0; i < 20'000; ++i) {
    const milliseconds at(100 * i);
    recorder.Record(At(at, at, at + milliseconds(i == 7'000 ? 900 : 5)));
  }
  const Measurement m = recorder.Finish(begin_ + seconds(2'001), milliseconds(0));
  EXPECT_LE(m.slices.size(), 240U);
  uint64_t answered = 0;
  nanoseconds longest{0};
  for (const Slice& slice : m.slices) {
    answered += slice.answered;
    longest = std::max(longest, slice.max);
  }
  EXPECT_EQ(answered, 20'000U);
  EXPECT_EQ(longest, milliseconds(900));
}

TEST_F(RecorderTest, EverySampleGoesToTheRawFile) {
  const std::string path = ::testing::TempDir() + "/load_test_raw.csv";
  std::ofstream raw(path, std::ios::trunc);
  Recorder recorder(Mode::kRate, 100, &raw);
  recorder.Begin(begin_);
  recorder.Record(At(milliseconds(1), milliseconds(2), milliseconds(3)));
  recorder.Dropped(begin_ + milliseconds(4), begin_ + milliseconds(4));
  raw.close();
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), "100,1000,2000,3000,0,OK\n100,4000,,,,DROPPED\n");
}

std::vector<Measurement> TwoLevels() {
  std::vector<Measurement> out;
  for (const double level : {100.0, 200.0}) {
    Recorder recorder(Mode::kRate, level, nullptr);
    const SteadyTime begin(std::chrono::hours(1));
    recorder.Begin(begin);
    recorder.Attested(milliseconds(40));
    recorder.Opened(milliseconds(2), false);
    for (int i = 0; i < 100; ++i) {
      Sample sample;
      sample.intended = sample.sent = begin + milliseconds(10 * i);
      sample.done = sample.sent + milliseconds(1 + i / 10);
      sample.phases.emplace();
      (*sample.phases)[channel::Phase::kCompute] = milliseconds(1);
      sample.status = i == 50 ? absl::UnavailableError("x") : absl::OkStatus();
      recorder.Record(sample);
    }
    out.push_back(recorder.Finish(begin + seconds(1), milliseconds(50)));
  }
  return out;
}

RunInfo SomeRun() {
  RunInfo run{.server = "s:1",
              .model = "<script>alert('x')</script>",
              .evidence = "simulated",
              .version = "shoji 1",
              .started = "2026-01-01T00:00:00Z",
              .options = {}};
  run.options.phases = true;
  run.options.slos = {*ParseSlo("p99=1ms"), *ParseSlo("max=1s")};
  return run;
}

TEST(ReportTest, JsonHoldsEveryFigureInSeconds) {
  auto json = nlohmann::json::parse(JsonReport(SomeRun(), TwoLevels()));
  ASSERT_EQ(json["levels"].size(), 2U);
  auto& level = json["levels"][0];
  EXPECT_EQ(level["mode"], "rate");
  EXPECT_EQ(level["requested_rate"], 100.0);
  EXPECT_EQ(level["achieved_rate"], 99.0);
  EXPECT_EQ(level["answered"], 99);
  EXPECT_EQ(level["failed"], 1);
  EXPECT_EQ(level["errors"]["UNAVAILABLE"]["count"], 1);
  EXPECT_NEAR(level["latency"]["max"].get<double>(), 0.010, 1e-9);
  EXPECT_NEAR(level["latency"]["p50"].get<double>(), 0.005, 1e-5);
  EXPECT_NEAR(level["attestation"]["p50"].get<double>(), 0.040, 1e-4);
  EXPECT_NEAR(level["handshake"]["p50"].get<double>(), 0.002, 1e-5);
  EXPECT_NEAR(level["phases"]["compute"]["p50"].get<double>(), 0.001, 1e-5);
  EXPECT_NEAR(level["generator"]["cpu_share"].get<double>(), 0.05, 1e-9);
  EXPECT_GT(level["slices"].size(), 2U);
  EXPECT_EQ(json["slos"]["p99=1ms"], false);
  EXPECT_EQ(json["slos"]["max=1s"], true);
}

TEST(ReportTest, CsvHasALineForEachLevel) {
  const std::string csv = CsvReport(TwoLevels());
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);
  EXPECT_THAT(csv, HasSubstr("\nrate,100,99.000,99,1,0,0,"));
}

TEST(ReportTest, TextSaysRequestedAndAchievedAndWhatToDoubt) {
  const std::string text = TextReport(SomeRun(), TwoLevels());
  EXPECT_THAT(text, HasSubstr("100/s"));
  EXPECT_THAT(text, HasSubstr("error UNAVAILABLE"));
  EXPECT_THAT(text, HasSubstr("WARNING: 200/s: only 99.0 answers a second were achieved"));
  EXPECT_THAT(text, HasSubstr("phase compute"));
}

// 0 would be the best latency of all.
TEST(ReportTest, WhereNothingWasAnsweredThereIsNoLatency) {
  Recorder recorder(Mode::kRate, 1'234'567, nullptr);
  const SteadyTime begin(std::chrono::hours(1));
  recorder.Begin(begin);
  recorder.Dropped(begin, begin + milliseconds(600));
  const std::vector<Measurement> levels = {recorder.Finish(begin + seconds(1), milliseconds(0))};
  auto json = nlohmann::json::parse(JsonReport(SomeRun(), levels));
  auto& level = json["levels"][0];
  EXPECT_TRUE(level["latency"]["p99"].is_null()) << level["latency"];
  EXPECT_TRUE(level["latency"]["max"].is_null());
  EXPECT_EQ(level["latency"]["count"], 0);
  ASSERT_GT(level["slices"].size(), 2U);
  EXPECT_EQ(level["slices"][2]["errors"], 1) << "where it was given up";
  EXPECT_TRUE(level["slices"][2]["p99"].is_null());
  EXPECT_THAT(CsvReport(levels), HasSubstr("\nrate,1234567,0.000,0,0,0,1,,,,,,,,,,0.0000\n"));
  EXPECT_THAT(TextReport(SomeRun(), levels),
              HasSubstr("1          -         -         -         -         -         -\n"));
  EXPECT_THAT(HtmlReport(SomeRun(), levels), HasSubstr("<td>-</td>"));
}

TEST(ReportTest, LevelsAreNamedAsTheyWereAskedFor) {
  EXPECT_EQ(LevelNumber(10'000'000), "10000000");
  EXPECT_EQ(LevelNumber(1'234'567.5), "1234567.5");
  const std::vector<double> levels = *ParseSweep("0.1:0.3:0.1", false);
  ASSERT_EQ(levels.size(), 3U);
  EXPECT_EQ(LevelNumber(levels[2]), "0.3");
}

TEST(ReportTest, JsonSaysHowTheRunCanBeRepeated) {
  RunInfo run = SomeRun();
  run.options.arrival = Arrival::kPoisson;
  run.options.seed = 7;
  run.options.duration = seconds(3);
  run.options.warmup = milliseconds(500);
  run.options.max_in_flight = 11;
  auto json = nlohmann::json::parse(JsonReport(run, TwoLevels()));
  EXPECT_EQ(json["arrival"], "poisson");
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["duration"], 3.0);
  EXPECT_EQ(json["warmup"], 0.5);
  EXPECT_EQ(json["max_in_flight"], 11);
  EXPECT_TRUE(json["requests"].is_null());
}

TEST(ReportTest, TextCountsSessionsThatEnded) {
  std::vector<Measurement> levels = TwoLevels();
  EXPECT_THAT(TextReport(SomeRun(), levels), Not(HasSubstr("opened anew")));
  levels[0].reopened = 1;
  levels[1].reopened = 2;
  const std::string text = TextReport(SomeRun(), levels);
  EXPECT_THAT(text, HasSubstr("  1 session ended and was opened anew\n"));
  EXPECT_THAT(text, HasSubstr("  2 sessions ended and were opened anew\n"));
}

TEST(ReportTest, HtmlEscapesWhatAServerSaidAndLoadsNothing) {
  const std::string html = HtmlReport(SomeRun(), TwoLevels());
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)"));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  for (const char* chart : {"id=\"over-load\"", "id=\"over-time\"", "id=\"distribution\"", "id=\"phases\""}) {
    EXPECT_THAT(html, HasSubstr(chart));
  }
  for (const char* reference : {"http:", "https:", "src=", "href=", "url("}) {
    EXPECT_THAT(html, Not(HasSubstr(reference)));
  }
}

TEST(SvgTest, ChartsOfNothingOnePointAndEqualValuesAreDrawn) {
  const Axis x{"x", false, [](double value) { return std::to_string(value); }};
  const Axis log{"y", true, [](double value) { return std::to_string(value); }};
  for (const std::vector<Point>& points : {std::vector<Point>{}, std::vector<Point>{{1, 1}},
                                           std::vector<Point>{{1, 5}, {2, 5}}, std::vector<Point>{{0, 0}}}) {
    for (const Axis& y : {x, log}) {
      const std::string svg = LineChart("c", x, y, {{"s", points}});
      EXPECT_THAT(svg, HasSubstr("<svg id=\"c\""));
      EXPECT_THAT(svg, Not(HasSubstr("nan")));
      EXPECT_THAT(svg, Not(HasSubstr("inf")));
    }
  }
  EXPECT_THAT(BarChart("b", log, x, {}), Not(HasSubstr("nan")));
  EXPECT_THAT(StackedRows("p", x, {"a"}, {{"row", {0.0}}}), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace shoji::client::load
