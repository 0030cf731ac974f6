// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/telemetry/trace_context.h"

#include <gtest/gtest.h>

namespace shoji::telemetry {
namespace {

// The example of the Recommendation, section 3.2.
constexpr char kValid[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceParentTest, AValidOneIsPassedOnAsItIs) {
  EXPECT_EQ(ParseTraceParent(kValid), kValid);
  EXPECT_EQ(TraceIdOf(kValid), "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST(TraceParentTest, ALaterVersionIsReadAsFarAsThisOneDefines) {
  const std::string later = "cc" + std::string(kValid).substr(2);
  EXPECT_EQ(ParseTraceParent(later), kValid);
  EXPECT_EQ(ParseTraceParent(later + "-what-comes"), kValid);
  EXPECT_EQ(ParseTraceParent(later + "x"), std::nullopt);
}

TEST(TraceParentTest, WhatIsAnythingElseIsDropped) {
  const std::string valid = kValid;
  EXPECT_EQ(ParseTraceParent(""), std::nullopt);
  EXPECT_EQ(ParseTraceParent(valid + "-more"), std::nullopt);
  EXPECT_EQ(ParseTraceParent("ff" + valid.substr(2)), std::nullopt);
  EXPECT_EQ(ParseTraceParent("00-" + std::string(32, '0') + valid.substr(35)), std::nullopt);
  EXPECT_EQ(ParseTraceParent(valid.substr(0, 36) + std::string(16, '0') + "-01"), std::nullopt);
  for (size_t i = 0; i < valid.size(); ++i) {
    for (const char wrong : {'A', 'g', ' ', '\n', '"', '\0'}) {
      std::string changed = valid;
      changed[i] = wrong;
      EXPECT_EQ(ParseTraceParent(changed), std::nullopt) << i;
    }
    EXPECT_EQ(ParseTraceParent(valid.substr(0, i)), std::nullopt) << i;
  }
}

}  // namespace
}  // namespace shoji::telemetry
