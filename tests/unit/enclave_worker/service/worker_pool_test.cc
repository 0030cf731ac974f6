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

}  // namespace
}  // namespace shoji::enclave
