// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/metrics/exporter.h"

#include <arpa/inet.h>
#include <prometheus/counter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/scrape.h"

namespace shoji::metrics {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Options> Read(const std::string& yaml) {
  const auto document = config::Document::Parse(yaml, "server.yaml");
  EXPECT_TRUE(document.ok());
  return ReadOptions(*document->root().Map({"metrics"}));
}

Options Local() { return *Read("metrics: {address: \"127.0.0.1:0\"}\n"); }

TEST(MetricsOptionsTest, NoKeyMeansNoPort) {
  const absl::StatusOr<Options> options = Read("{}\n");
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->address, std::nullopt);
  const auto exporter = Exporter::Start(*options);
  ASSERT_TRUE(exporter.ok());
  EXPECT_EQ((*exporter)->address(), std::nullopt);
}

TEST(MetricsOptionsTest, AnAddressBeyondThisHostHasToBeAskedForByName) {
  EXPECT_THAT(std::string(Read("metrics: {address: \"0.0.0.0:9464\"}\n").status().message()),
              HasSubstr("server.yaml:1: key 'metrics.address': the page is not encrypted"));
  EXPECT_TRUE(Read("metrics: {address: \"0.0.0.0:9464\", insecure_plaintext: true}\n").ok());
}

TEST(MetricsOptionsTest, WhatIsNoAddressIsAnError) {
  EXPECT_THAT(std::string(Read("metrics: {address: 9464}\n").status().message()), HasSubstr("metrics.address"));
  EXPECT_THAT(std::string(Read("metrics: {address: \"unix:run/m.sock\"}\n").status().message()),
              HasSubstr("not on a Unix socket"));
  EXPECT_THAT(std::string(Read("metrics: {}\n").status().message()), HasSubstr("the key 'address' is missing"));
  EXPECT_FALSE(Read("metrics: {adress: \"127.0.0.1:1\"}\n").ok());
}

TEST(ExporterTest, ShowsCountersHistogramsAndWhatCollectorsSay) {
  const auto exporter = Exporter::Start(Local());
  ASSERT_TRUE(exporter.ok()) << exporter.status();
  prometheus::Registry& registry = (*exporter)->registry();
  prometheus::BuildCounter().Name("shoji_x_total").Help("Xs.").Register(registry).Add({{"kind", "a"}}).Increment(3);
  auto& times = prometheus::BuildHistogram().Name("shoji_y_seconds").Help("Y.").Register(registry);
  times.Add({}, TimeBuckets()).Observe(0.003);
  int scrapes = 0;
  (*exporter)->AddCollector([&scrapes] {
    prometheus::MetricFamily depth = GaugeFamily("shoji_depth", "Depth.");
    AddValue(depth, 10 + ++scrapes, {{"queue", "q"}});
    prometheus::MetricFamily served = CounterFamily("shoji_served_total", "Served.");
    AddValue(served, 7);
    return std::vector<prometheus::MetricFamily>{depth, served};
  });
  ASSERT_TRUE(testing::Scrape(*(*exporter)->address()).ok());
  const absl::StatusOr<std::string> page = testing::Scrape(*(*exporter)->address());
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(testing::SeriesIn(*page, "shoji_x_total{kind=\"a\"}"), 3);
  EXPECT_EQ(testing::SeriesIn(*page, "shoji_y_seconds_bucket{le=\"0.0025\"}"), 0);
  EXPECT_EQ(testing::SeriesIn(*page, "shoji_y_seconds_bucket{le=\"0.005\"}"), 1);
  EXPECT_EQ(testing::SeriesIn(*page, "shoji_depth{queue=\"q\"}"), 12);
  EXPECT_EQ(testing::SeriesIn(*page, "shoji_served_total"), 7);
  EXPECT_THAT(*page, HasSubstr("# TYPE shoji_served_total counter"));
}

TEST(ExporterTest, AScopedCollectorIsAskedForAsLongAsItLives) {
  const auto exporter = Exporter::Start(Local());
  ASSERT_TRUE(exporter.ok());
  {
    const Exporter::ScopedCollector scoped(**exporter, [] {
      prometheus::MetricFamily depth = GaugeFamily("shoji_depth", "Depth.");
      AddValue(depth, 4);
      return std::vector<prometheus::MetricFamily>{depth};
    });
    EXPECT_EQ(testing::SeriesIn(*testing::Scrape(*(*exporter)->address()), "shoji_depth"), 4);
  }
  EXPECT_EQ(testing::SeriesIn(*testing::Scrape(*(*exporter)->address()), "shoji_depth"), std::nullopt);
}

// Connections that send nothing, or the first few bytes of a request, and stay open.
class StalledCallers {
 public:
  StalledCallers(const rpc::Address& address, size_t count) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    inet_pton(AF_INET, address.host.c_str(), &to.sin_addr);
    for (size_t i = 0; i < count; ++i) {
      sockets_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      EXPECT_EQ(connect(sockets_.back(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
      if (i % 2 == 1) {
        EXPECT_EQ(send(sockets_.back(), "GET /met", 8, MSG_NOSIGNAL), 8);
      }
    }
  }
  StalledCallers(const StalledCallers&) = delete;
  StalledCallers& operator=(const StalledCallers&) = delete;
  ~StalledCallers() {
    for (const int socket : sockets_) {
      close(socket);
    }
  }

 private:
  std::vector<int> sockets_;
};

// Half of Prometheus' own limit for a scrape.
constexpr std::chrono::seconds kScrapeInTime(5);

std::chrono::nanoseconds TimeOf(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::steady_clock::now() - begin;
}

TEST(ExporterTest, CallersThatStallDoNotKeepAScrapeOut) {
  const auto exporter = Exporter::Start(Local());
  ASSERT_TRUE(exporter.ok());
  for (const size_t num_callers : {size_t{20}, size_t{100}}) {
    const StalledCallers callers(*(*exporter)->address(), num_callers);
    const auto took = TimeOf([&] { EXPECT_TRUE(testing::Scrape(*(*exporter)->address()).ok()); });
    EXPECT_LT(took, kScrapeInTime) << num_callers;
  }
}

// Each of these took up to two seconds where the thread that accepts was left to its own pace.
TEST(ExporterTest, StopsAtOnceWhereNobodyCallsAndSoonWhereCallersHaveStalled) {
  for (const std::string& address : std::vector<std::string>{"127.0.0.1:0", "localhost:0", "0.0.0.0:0"}) {
    absl::StatusOr<std::unique_ptr<Exporter>> exporter =
        Exporter::Start(*Read("metrics: {address: \"" + address + "\", insecure_plaintext: true}\n"));
    ASSERT_TRUE(exporter.ok()) << exporter.status();
    EXPECT_LT(TimeOf([&] { exporter->reset(); }), std::chrono::milliseconds(500)) << address;
  }
  absl::StatusOr<std::unique_ptr<Exporter>> exporter = Exporter::Start(Local());
  ASSERT_TRUE(exporter.ok());
  const Options options = {.address = (*exporter)->address(), .where = "here"};
  const StalledCallers callers(*options.address, 20);
  EXPECT_LT(TimeOf([&] { exporter->reset(); }), std::chrono::milliseconds(1500));
  EXPECT_TRUE(Exporter::Start(options).ok()) << "the port is free again";
}

TEST(ExporterTest, AnAddressOfAnotherHostIsAnErrorThatSaysSo) {
  Options options = Local();
  options.address->host = "192.0.2.1";  // of documentation: nobody's
  EXPECT_THAT(std::string(Exporter::Start(options).status().message()),
              HasSubstr("key 'metrics.address': cannot listen on 192.0.2.1:0: Cannot assign requested address"));
}

TEST(ExporterTest, APortThatIsTakenIsAnErrorThatNamesItsKey) {
  const auto first = Exporter::Start(Local());
  ASSERT_TRUE(first.ok());
  Options options = Local();
  options.address = (*first)->address();
  const absl::Status status = Exporter::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(std::string(status.message()), "server.yaml:1: key 'metrics.address': cannot listen on " +
                                               options.address->ToString() +
                                               ": Address already in use; another process listens there");
}

}  // namespace
}  // namespace shoji::metrics
