// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/config/fixed_settings.h"

#include <string>

#include <gtest/gtest.h>

namespace shoji::config {
namespace {

// With the port, which is 1 by default, and the size of the queue, which is 8.
FixedSettings Read(const std::string& yaml) {
  const auto document = Document::Parse(yaml, "a.yaml");
  EXPECT_TRUE(document.ok()) << document.status();
  const auto top = document->root().Map({"port", "limits"});
  EXPECT_TRUE(top.ok()) << top.status();
  uint64_t queue = 8;
  if (const auto limits = top->Find("limits"); limits.has_value()) {
    queue = *limits->Map({"queue", "wait"})->Uint64Or("queue", queue, 0, 100);
  }
  FixedSettings out;
  out.Add(*top, "port", std::to_string(*top->Uint64Or("port", 1, 0, 100)));
  out.Add(*top, "limits.queue", std::to_string(queue));
  return out;
}

std::string Change(const std::string& from, const std::string& to) {
  const absl::Status status = Read(from).CheckUnchanged(Read(to));
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kFailedPrecondition) << status;
  return std::string(status.message());
}

TEST(FixedSettingsTest, WhatHasChangedIsNamedWithTheLineWhereItStands) {
  EXPECT_EQ(Change("port: 5\n", "limits: {}\nport: 6\n"),
            "a.yaml:2: key 'port': 'port' has changed, and only a restart changes it");
  EXPECT_EQ(Change("limits: {queue: 3}\n", "limits:\n  queue: 4\n"),
            "a.yaml:2: key 'limits.queue': 'limits.queue' has changed, and only a restart changes it");
}

TEST(FixedSettingsTest, WhatIsLeftOutIsNamedWhereItStoodOrItsGroupStands) {
  EXPECT_EQ(Change("port: 5\n", "{}\n"), "a.yaml:1: key 'port': 'port' has changed, and only a restart changes it");
  EXPECT_EQ(Change("limits:\n  queue: 3\n", "port: 1\nlimits: {wait: 1}\n"),
            "a.yaml:2: key 'limits': 'limits.queue' has changed, and only a restart changes it");
}

TEST(FixedSettingsTest, ADefaultWrittenOutAndAnythingElseHaveNotChanged) {
  EXPECT_EQ(Change("{}\n", "port: 1\nlimits: {queue: 8, wait: 9}\n"), "");
  EXPECT_EQ(Change("port: 5\nlimits: {queue: 3}\n", "limits: {queue: 3}\nport: 5\n"), "");
}

}  // namespace
}  // namespace shoji::config
