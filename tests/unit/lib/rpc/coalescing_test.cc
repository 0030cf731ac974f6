// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/coalescing.h"

#include <chrono>

#include <gtest/gtest.h>

namespace shoji::rpc {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Coalescing kOptions = {
    .from_busy = 0.4,
    .until_busy = 0.1,
    .from_calls_per_second = 4000,
    .until_calls_per_second = 1000,
    .events_per_call = 3,
};

// Whether it applies after 10 ms with so many calls, of which the thread was busy so long.
bool After(CoalescingRule& rule, int calls, microseconds busy) {
  rule.Judge(3 * calls, busy, milliseconds(10));
  return rule.applies();
}

TEST(CoalescingRuleTest, AppliesToABusyThreadWithManyCallsUntilEitherFallsFar) {
  CoalescingRule rule(kOptions);
  EXPECT_FALSE(rule.applies());
  EXPECT_FALSE(After(rule, 100, microseconds(3900)));
  EXPECT_FALSE(After(rule, 39, microseconds(9000)));
  EXPECT_TRUE(After(rule, 41, microseconds(4100)));
  EXPECT_TRUE(After(rule, 11, microseconds(1100)));
  EXPECT_FALSE(After(rule, 100, microseconds(900)));
  EXPECT_FALSE(After(rule, 11, microseconds(1100)));
  EXPECT_TRUE(After(rule, 100, microseconds(9000)));
  EXPECT_FALSE(After(rule, 9, microseconds(9000)));
}

TEST(CoalescingRuleTest, WithoutAWaitItNeverApplies) {
  Coalescing options = kOptions;
  options.wait = microseconds(0);
  CoalescingRule rule(options);
  EXPECT_FALSE(After(rule, 100, microseconds(9000)));
}

}  // namespace
}  // namespace shoji::rpc
