// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/account.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace shoji::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using Verdict = Account::Verdict;

class AccountTest : public ::testing::Test {
 protected:
  Verdict Enter() { return account_.Enter(clock_.SteadyNow(), retry_after_); }

  testing::FakeClock clock_;
  Account account_{"alice"};
  nanoseconds retry_after_ = {};
};

TEST_F(AccountTest, WithoutLimitsAllIsAdmitted) {
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(Enter(), Verdict::kAdmitted);
  }
  EXPECT_EQ(account_.counts().in_flight, 10'000U);
}

TEST_F(AccountTest, ABurstMayComeAtOnceAndThenTheRateHolds) {
  account_.SetLimits({.rate = 10, .burst = 3});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Enter(), Verdict::kAdmitted) << i;
  }
  EXPECT_EQ(Enter(), Verdict::kRate);
  EXPECT_EQ(retry_after_, milliseconds(100));
  clock_.Advance(milliseconds(99));
  EXPECT_EQ(Enter(), Verdict::kRate);
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(Enter(), Verdict::kAdmitted);
  EXPECT_EQ(Enter(), Verdict::kRate);
  EXPECT_EQ(account_.counts().refused_for_rate, 3U);
}

TEST_F(AccountTest, OverTimeTheRateIsWhatGetsThrough) {
  account_.SetLimits({.rate = 50, .burst = 5});
  int num_admitted = 0;
  for (int i = 0; i < 10'000; ++i) {
    num_admitted += Enter() == Verdict::kAdmitted ? 1 : 0;
    clock_.Advance(milliseconds(1));
  }
  EXPECT_NEAR(num_admitted, 500, 6);
}

TEST_F(AccountTest, WithoutABurstTheRateOfASecondMayComeAtOnce) {
  account_.SetLimits({.rate = 4});
  int num_admitted = 0;
  while (num_admitted < 100 && Enter() == Verdict::kAdmitted) {
    ++num_admitted;
  }
  EXPECT_EQ(num_admitted, 4);
}

TEST_F(AccountTest, ARateBelowOneASecondAdmitsOneAtATime) {
  account_.SetLimits({.rate = 0.5});
  EXPECT_EQ(Enter(), Verdict::kAdmitted);
  EXPECT_EQ(Enter(), Verdict::kRate);
  EXPECT_EQ(retry_after_, milliseconds(2000));
}

TEST_F(AccountTest, CallsUnderWayAreBounded) {
  account_.SetLimits({.in_flight = 2});
  EXPECT_EQ(Enter(), Verdict::kAdmitted);
  EXPECT_EQ(Enter(), Verdict::kAdmitted);
  EXPECT_EQ(Enter(), Verdict::kInFlight);
  account_.Leave();
  EXPECT_EQ(Enter(), Verdict::kAdmitted);
  EXPECT_EQ(account_.counts().refused_for_in_flight, 1U);
}

TEST_F(AccountTest, ALowerRateDoesNotMakeWhatCameBeforeALongDebt) {
  account_.SetLimits({.rate = 1, .burst = 1000});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(Enter(), Verdict::kAdmitted);
  }
  account_.SetLimits({.rate = 1, .burst = 2});
  EXPECT_EQ(Enter(), Verdict::kRate);
  EXPECT_LE(retry_after_, milliseconds(1000));
}

}  // namespace
}  // namespace shoji::server
