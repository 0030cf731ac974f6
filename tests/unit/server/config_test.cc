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
  EXPECT_EQ(config->limits.max_in_flight, 64U);
  EXPECT_EQ(config->limits.max_buffered_bytes, size_t{512} << 20);
}

TEST(ServerConfigTest, ReadsEveryKey) {
  const absl::StatusOr<Config> config =
      Read(std::string(kMinimal) +
           "auth: {tokens_file: tokens.txt}\n"
           "limits: {in_flight: 3, queue: 0, max_message: 1MiB, max_buffered: 4MiB, max_deadline: 5s, "
           "drain_timeout: 0s}\n"
           "log: {level: debug, format: json}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(*config->tokens_file, "/etc/shoji/tokens.txt");
  EXPECT_EQ(config->limits.max_in_flight, 3U);
  EXPECT_EQ(config->limits.max_queue, 0U);
  EXPECT_EQ(config->limits.max_message_bytes, size_t{1} << 20);
  EXPECT_EQ(config->limits.max_buffered_bytes, size_t{4} << 20);
  EXPECT_EQ(config->limits.max_deadline, std::chrono::seconds(5));
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
