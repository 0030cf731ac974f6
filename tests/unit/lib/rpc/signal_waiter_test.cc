// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/signal_waiter.h"

#include <signal.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace shoji::rpc {
namespace {

TEST(SignalWaiterTest, TellsDrainFromReload) {
  SignalWaiter signals;
  ASSERT_EQ(::raise(SIGHUP), 0);
  EXPECT_EQ(signals.Wait(), Signal::kReload);
  ASSERT_EQ(::raise(SIGTERM), 0);
  EXPECT_EQ(signals.Wait(), Signal::kDrain);
  ASSERT_EQ(::raise(SIGINT), 0);
  EXPECT_EQ(signals.WaitFor(std::chrono::seconds(60)), Signal::kDrain);
  ASSERT_EQ(::raise(SIGPIPE), 0);
  EXPECT_EQ(signals.WaitFor(std::chrono::milliseconds(0)), std::nullopt);
}

}  // namespace
}  // namespace shoji::rpc
