// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/config.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/front_end.h"

namespace shoji::server {
namespace {

using ::testing::HasSubstr;

constexpr char kMinimal[] =
    "listen: {address: \"127.0.0.1:8443\"}\n"
    "enclaves:\n"
    "  - {name: e0, address: \"unix:run/e0.sock\"}\n";

absl::StatusOr<Config> Read(const std::string& text) {
  const absl::StatusOr<config::Document> document = config::Document::Parse(text, "/etc/shoji/server.yaml");
  return document.ok() ? ReadConfig(*document) : absl::StatusOr<Config>(document.status());
}

std::string ErrorOfText(const std::string& text) {
  const absl::StatusOr<Config> config = Read(text);
  return config.ok() ? "OK" : std::string(config.status().message());
}

TEST(ServerConfigTest, ShippedConfigurationIsValid) {
  const absl::StatusOr<config::Document> document =
      config::Document::Load(std::string(SHOJI_SOURCE_DIR) + "/config/server.yaml");
  ASSERT_TRUE(document.ok()) << document.status();
  const absl::StatusOr<Config> config = ReadConfig(*document);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->listen.address.IsLocal());
  EXPECT_TRUE(CheckConfig(*config).ok());
}

TEST(ServerConfigTest, MinimalConfigurationTakesDefaults) {
  const absl::StatusOr<Config> config = Read(kMinimal);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->enclaves[0].endpoint.address.path, "/etc/shoji/run/e0.sock");
  EXPECT_FALSE(config->tokens_file.has_value());
  EXPECT_EQ(config->limits.max_in_flight, 32U);
  EXPECT_EQ(config->limits.max_buffered_bytes, size_t{512} << 20);
}

TEST(ServerConfigTest, ReadsEveryKey) {
  const absl::StatusOr<Config> config =
      Read(std::string(kMinimal) +
           "auth: {tokens_file: tokens.txt}\n"
           "limits: {in_flight: 3, queue: 0, queue_wait: 2s, max_message: 1MiB, max_buffered: 4MiB, max_deadline: 5s, "
           "drain_timeout: 0s, per_token: {rate: 2.5, burst: 9, in_flight: 7}, connection_idle: 1m, "
           "connection_age: 0s, connection_grace: 3s, keepalive: 4s, keepalive_timeout: 6s, coalesce: 50us}\n"
           "metrics: {address: \"127.0.0.1:9100\"}\n"
           "log: {level: debug, format: json}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(*config->tokens_file, "/etc/shoji/tokens.txt");
  EXPECT_EQ(config->limits.max_in_flight, 3U);
  EXPECT_EQ(config->limits.max_queue, 0U);
  EXPECT_EQ(config->limits.max_message_bytes, size_t{1} << 20);
  EXPECT_EQ(config->limits.max_buffered_bytes, size_t{4} << 20);
  EXPECT_EQ(config->limits.max_deadline, std::chrono::seconds(5));
  EXPECT_EQ(config->limits.max_queue_wait, std::chrono::seconds(2));
  EXPECT_EQ(config->limits.per_token, (AccountLimits{.rate = 2.5, .burst = 9, .in_flight = 7}));
  EXPECT_EQ(config->connections.idle, std::chrono::minutes(1));
  EXPECT_EQ(config->connections.max_age, std::chrono::seconds(0));
  EXPECT_EQ(config->connections.age_grace, std::chrono::seconds(3));
  EXPECT_EQ(config->connections.keepalive, std::chrono::seconds(4));
  EXPECT_EQ(config->connections.keepalive_timeout, std::chrono::seconds(6));
  EXPECT_EQ(config->coalesce, std::chrono::microseconds(50));
  EXPECT_EQ(config->metrics.address->port, 9100);
  EXPECT_EQ(config->log.format, telemetry::LogFormat::kJson);
}

TEST(ServerConfigTest, ErrorsNameFileLineAndKey) {
  EXPECT_THAT(ErrorOfText("enclaves: []\n"), HasSubstr("server.yaml:1: the key 'listen' is missing"));
  EXPECT_THAT(ErrorOfText("listen: {address: \"127.0.0.1:1\"}\nenclaves: []\n"),
              HasSubstr("server.yaml:2: key 'enclaves': name at least one enclave"));
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "limit: {}\n"),
              HasSubstr("server.yaml:4: key 'limit': unknown key (did you mean limits"));
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "limits: {queue: -1}\n"), HasSubstr("key 'limits.queue'"));
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "limits: {max_message: 10}\n"),
              HasSubstr("key 'limits.max_message': must be a size"));
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "log: {level: loud}\n"), HasSubstr("key 'log.level'"));
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "auth: {}\n"), HasSubstr("the key 'tokens_file' is missing"));
}

TEST(ServerConfigTest, ABurstNeedsARateAndTimesHaveTheirBounds) {
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "limits: {per_token: {burst: 5}}\n"), HasSubstr("give 'rate' too"));
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "limits: {connection_age: 5ms}\n"),
              HasSubstr("key 'limits.connection_age': must be at least 1s"));
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "limits: {coalesce: 1s}\n"),
              HasSubstr("key 'limits.coalesce': must be"));
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "metrics: {address: \"10.0.0.1:1\"}\n"),
              HasSubstr("key 'metrics.address': the page is not encrypted"));
}

std::string ReloadError(const std::string& running, const std::string& next) {
  return std::string(Read(running)->fixed.CheckUnchanged(Read(next)->fixed).message());
}

TEST(ServerConfigTest, AReloadRefusesByNameWhatOnlyARestartChanges) {
  const std::string minimal = kMinimal;
  const std::string full =
      minimal + "limits:\n  max_message: 1MiB\n  keepalive: 5s\nmetrics: {address: \"127.0.0.1:1\"}\n";
  EXPECT_EQ(ReloadError(full, full), "");
  const std::string other =
      "listen: {address: \"127.0.0.1:8444\"}\nenclaves:\n  - {name: e0, address: \"unix:run/e0.sock\"}\n";
  EXPECT_THAT(ReloadError(minimal, other),
              HasSubstr("server.yaml:1: key 'listen': 'listen' has changed, and only a restart"));
  EXPECT_THAT(ReloadError(minimal, full), HasSubstr("'metrics.address' has changed"));
  EXPECT_THAT(
      ReloadError(full,
                  minimal + "limits:\n  keepalive: 5s\n  max_message: 2MiB\nmetrics: {address: \"127.0.0.1:1\"}\n"),
      HasSubstr("server.yaml:6: key 'limits.max_message': 'limits.max_message' has changed"));
  EXPECT_THAT(ReloadError(minimal, minimal + "log: {format: json}\n"), HasSubstr("'log.format' has changed"));
}

TEST(ServerConfigTest, AReloadTakesLimitsTokensEnclavesAndTheLogsLevel) {
  const std::string minimal = kMinimal;
  EXPECT_EQ(ReloadError(minimal, minimal + "  - {name: e1, address: \"unix:run/e1.sock\"}\n"), "");
  EXPECT_EQ(ReloadError(minimal, minimal + "auth: {tokens_file: t.txt}\nlog: {level: debug}\n"
                                           "limits: {in_flight: 1, queue: 1, queue_wait: 9s, max_buffered: 1GiB, "
                                           "max_deadline: 1s, drain_timeout: 1s, per_token: {rate: 1}}\n"),
            "");
}

TEST(ServerConfigTest, BufferHoldsAtLeastFourOfTheLargestMessages) {
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "limits: {max_message: 2MiB, max_buffered: 7MiB}\n"),
              HasSubstr("key 'limits.max_buffered': must be a size"));
  const absl::StatusOr<Config> config = Read(std::string(kMinimal) + "limits: {max_message: 1GiB}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->limits.max_buffered_bytes, size_t{4} << 30);
}

TEST(ServerConfigTest, TwoEnclavesOfOneNameAreRefused) {
  EXPECT_THAT(ErrorOfText(std::string(kMinimal) + "  - {name: e0, address: \"unix:run/e1.sock\"}\n"),
              HasSubstr("another enclave has the name e0"));
}

TEST(ServerConfigTest, PlaintextLeavesTheHostOnlyWhenAskedFor) {
  const std::string enclaves = "enclaves:\n  - {name: e0, address: \"unix:run/e0.sock\"}\n";
  EXPECT_THAT(ErrorOfText("listen: {address: \"0.0.0.0:8443\"}\n" + enclaves), HasSubstr("would cross the network"));
  EXPECT_EQ(ErrorOfText("listen: {address: \"0.0.0.0:8443\", insecure_plaintext: true}\n" + enclaves), "OK");
  EXPECT_THAT(ErrorOfText("listen: {address: \"127.0.0.1:1\"}\nenclaves: [{name: e, address: \"10.0.0.1:9\", "
                          "insecure_plaintext: true}]\n"),
              HasSubstr("give it mutual TLS"));
}

TEST(ServerConfigTest, CheckConfigFindsMissingFiles) {
  const absl::StatusOr<Config> tokens = Read(std::string(kMinimal) + "auth: {tokens_file: none.txt}\n");
  EXPECT_THAT(std::string(CheckConfig(*tokens).message()), HasSubstr("/etc/shoji/none.txt"));
  const absl::StatusOr<Config> tls = Read(
      "listen: {address: \"0.0.0.0:1\", tls: {certificate: none.pem, private_key: k.pem}}\n"
      "enclaves: [{name: e, address: \"unix:e.sock\"}]\n");
  ASSERT_TRUE(tls.ok()) << tls.status();
  EXPECT_THAT(std::string(CheckConfig(*tls).message()), HasSubstr("/etc/shoji/none.pem"));
}

}  // namespace
}  // namespace shoji::server
