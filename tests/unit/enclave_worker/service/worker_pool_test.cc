// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/worker_pool.h"

#include <atomic>

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "lib/base/reason.h"

namespace shoji::enclave {
namespace {

TEST(WorkerPoolTest, RefusesAtOnceWhenTheQueueIsFullAndRunsWhatItTook) {
  std::atomic<int> done = 0;
  {
    absl::Notification started;
    absl::Notification go_on;
    WorkerPool pool(1, 1);
    ASSERT_TRUE(pool.Add([&] {
                      started.Notify();
                      go_on.WaitForNotification();
                      ++done;
                    })
                    .ok());
    started.WaitForNotification();
    ASSERT_TRUE(pool.Add([&] { ++done; }).ok());
    EXPECT_EQ(ReasonOf(pool.Add([&] { ++done; })), Reason::kOverloaded);
    go_on.Notify();
  }
  EXPECT_EQ(done, 2);
}

TEST(WorkerPoolTest, StopReturnsWhenAllThatWasTakenIsOver) {
  std::atomic<int> done = 0;
  WorkerPool pool(2, 10);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(pool.Add([&] { ++done; }).ok());
  }
  pool.Stop();
  EXPECT_EQ(done, 10);
}

TEST(WorkerPoolTest, WhatNobodyWaitsForMakesRoomInAFullQueue) {
  absl::Notification started;
  absl::Notification go_on;
  std::atomic<bool> is_gone = false;
  std::atomic<int> num_gone = 0;
  std::atomic<int> num_done = 0;
  {
    WorkerPool pool(1, 3);
    ASSERT_TRUE(pool.Add([&] {
                      started.Notify();
                      go_on.WaitForNotification();
                    })
                    .ok());
    started.WaitForNotification();
    const auto work = [&] { ++num_done; };
    ASSERT_TRUE(pool.Add(work).ok());
    ASSERT_TRUE(pool.Add([&] { ++num_gone; }, [&] { return is_gone.load(); }).ok());
    ASSERT_TRUE(pool.Add(work, [] { return false; }).ok());
    EXPECT_EQ(ReasonOf(pool.Add(work)), Reason::kOverloaded);
    is_gone = true;
    EXPECT_TRUE(pool.Add(work).ok());
    EXPECT_EQ(num_gone, 1) << "it has ended, while the only thread is busy";
    EXPECT_EQ(num_done, 0);
    EXPECT_EQ(ReasonOf(pool.Add(work)), Reason::kOverloaded);
    go_on.Notify();
  }
  EXPECT_EQ(num_done, 3);
  EXPECT_EQ(num_gone, 1);
}

}  // namespace
}  // namespace shoji::enclave
