// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/accelerator/backoff.h"

#include <gtest/gtest.h>

namespace shoji::enclave {
namespace {

using std::chrono::milliseconds;

TEST(BackoffTest, DoublesUpToItsMaximumAndStartsAnewAfterReset) {
  Backoff backoff({.initial = milliseconds(100), .max = milliseconds(500)});
  const double most = 1;  // the open end of the jitter
  EXPECT_EQ(backoff.Next(most), milliseconds(100));
  EXPECT_EQ(backoff.Next(most), milliseconds(200));
  EXPECT_EQ(backoff.Next(most), milliseconds(400));
  EXPECT_EQ(backoff.Next(most), milliseconds(500));
  EXPECT_EQ(backoff.Next(most), milliseconds(500));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(most), milliseconds(100));
}

TEST(BackoffTest, JitterStaysInTheUpperHalf) {
  Backoff backoff({.initial = milliseconds(100), .max = milliseconds(100)});
  EXPECT_EQ(backoff.Next(0), milliseconds(50));
  EXPECT_EQ(backoff.Next(0.5), milliseconds(75));
}

TEST(BackoffTest, AnInitialDelayOverTheMaximumIsCapped) {
  Backoff backoff({.initial = milliseconds(900), .max = milliseconds(100)});
  EXPECT_EQ(backoff.Next(1), milliseconds(100));
}

}  // namespace
}  // namespace shoji::enclave
