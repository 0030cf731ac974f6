// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/service_time.h"

#include <gtest/gtest.h>

namespace shoji::enclave {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr microseconds kLimit(100);

class ServiceTimeTest : public ::testing::Test {
 protected:
  void Record(std::chrono::nanoseconds took, int times) {
    for (int i = 0; i < times; ++i) {
      time_.Record(took);
    }
  }

  ServiceTime time_{kLimit};
};

TEST_F(ServiceTimeTest, NothingIsShortThatIsNotKnown) {
  EXPECT_FALSE(time_.IsShort());
  Record(microseconds(30), 10);
  EXPECT_FALSE(time_.IsShort());
  Record(microseconds(30), 100);
  EXPECT_TRUE(time_.IsShort());
}

// A host that lets its guest stand now and then is no reason to hand short requests to other threads, which is slower.
// With one in sixteen, a rule that let a long one outweigh sixteen short ones never answered on the loop again.
TEST_F(ServiceTimeTest, PausesOfTheMachineDoNotMakeItLong) {
  Record(microseconds(40), 100);
  for (int i = 0; i < 1000; ++i) {
    Record(i % 16 == 0 ? milliseconds(4) : microseconds(40), 1);
    ASSERT_TRUE(time_.IsShort()) << "after " << i;
  }
}

TEST_F(ServiceTimeTest, WhatBecomesLongIsLongAfterAFew) {
  Record(microseconds(40), 100);
  Record(milliseconds(1), 16);
  EXPECT_FALSE(time_.IsShort());
}

TEST_F(ServiceTimeTest, NearTheLimitItStaysWhatItWas) {
  Record(microseconds(150), 1000);
  EXPECT_FALSE(time_.IsShort());
  Record(microseconds(50), 100);
  EXPECT_TRUE(time_.IsShort());
  Record(microseconds(150), 1000);
  EXPECT_TRUE(time_.IsShort());
  Record(microseconds(210), 1000);
  EXPECT_FALSE(time_.IsShort());
  Record(microseconds(150), 1000);
  EXPECT_FALSE(time_.IsShort());
}

}  // namespace
}  // namespace shoji::enclave
