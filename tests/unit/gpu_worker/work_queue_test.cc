// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/work_queue.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace shoji::accelerator {
namespace {

// Keeps the queue's only thread busy until it is released.
class Plug {
 public:
  explicit Plug(WorkQueue& queue) {
    EXPECT_TRUE(queue
                    .Submit(999,
                            [this] {
                              running_.Notify();
                              release_.WaitForNotification();
                            })
                    .ok());
    running_.WaitForNotification();
  }
  void Release() { release_.Notify(); }

 private:
  absl::Notification running_;
  absl::Notification release_;
};

TEST(WorkQueueTest, RunsEveryJobOfManyTenants) {
  WorkQueue queue({.num_threads = 4, .max_queued = 1000});
  absl::BlockingCounter done(100);
  for (TenantId i = 0; i < 100; ++i) {
    ASSERT_TRUE(queue.Submit(i % 7, [&] { done.DecrementCount(); }).ok());
  }
  done.Wait();
}

TEST(WorkQueueTest, ABoundThatIsReplacedHoldsForWhatComesThen) {
  WorkQueue queue({.num_threads = 1, .max_queued = 1});
  Plug plug(queue);
  ASSERT_TRUE(queue.Submit(1, [] {}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(queue.Submit(1, [] {})));
  queue.SetMaxQueued(2);
  EXPECT_TRUE(queue.Submit(1, [] {}).ok());
  queue.SetMaxQueued(1);
  EXPECT_TRUE(absl::IsResourceExhausted(queue.Submit(1, [] {})));
  EXPECT_EQ(queue.num_queued(), 2U) << "what is queued stays";
  plug.Release();
}

TEST(WorkQueueTest, TenantsTakeTurnsWhateverTheLengthOfTheirQueues) {
  WorkQueue queue({.num_threads = 1, .max_queued = 100});
  Plug plug(queue);
  absl::Mutex mu;
  std::string order;
  absl::BlockingCounter done(7);
  const auto job = [&](char name) {
    return [&, name] {
      const absl::MutexLock lock(&mu);
      order += name;
      done.DecrementCount();
    };
  };
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(queue.Submit(1, job('a')).ok());
  }
  ASSERT_TRUE(queue.Submit(2, job('b')).ok());
  ASSERT_TRUE(queue.Submit(2, job('b')).ok());
  ASSERT_TRUE(queue.Submit(3, job('c')).ok());
  plug.Release();
  done.Wait();
  const absl::MutexLock lock(&mu);
  EXPECT_EQ(order, "abcabaa");
}

TEST(WorkQueueTest, RefusesAtOnceWhenFull) {
  WorkQueue queue({.num_threads = 1, .max_queued = 2});
  Plug plug(queue);
  EXPECT_TRUE(queue.Submit(1, [] {}).ok());
  EXPECT_TRUE(queue.Submit(1, [] {}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(queue.Submit(1, [] {})));
  plug.Release();
}

TEST(WorkQueueTest, ATenantThatFillsTheQueueDoesNotLockOutAnother) {
  WorkQueue queue({.num_threads = 1, .max_queued = 2});
  Plug plug(queue);
  EXPECT_TRUE(queue.Submit(1, [] {}).ok());
  EXPECT_TRUE(queue.Submit(1, [] {}).ok());
  EXPECT_TRUE(queue.Submit(2, [] {}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(queue.Submit(2, [] {})));
  plug.Release();
}

TEST(WorkQueueTest, DropDestroysTheQueuedJobsOfOneTenantOnly) {
  WorkQueue queue({.num_threads = 1, .max_queued = 10});
  Plug plug(queue);
  const auto token = std::make_shared<int>();
  absl::Notification ran;
  ASSERT_TRUE(queue.Submit(1, [token] { FAIL() << "a dropped job ran"; }).ok());
  ASSERT_TRUE(queue.Submit(1, [token] { FAIL() << "a dropped job ran"; }).ok());
  ASSERT_TRUE(queue.Submit(2, [&] { ran.Notify(); }).ok());
  queue.Drop(1);
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_EQ(queue.num_queued(), 1U);
  queue.Drop(1);  // nothing left
  plug.Release();
  ran.WaitForNotification();
}

TEST(WorkQueueTest, DestructionDropsWhatIsQueuedAndWaitsForWhatRuns) {
  const auto token = std::make_shared<int>();
  absl::Notification running;
  absl::Notification release;
  bool finished = false;
  {
    WorkQueue queue({.num_threads = 1, .max_queued = 10});
    ASSERT_TRUE(queue
                    .Submit(1,
                            [&] {
                              running.Notify();
                              release.WaitForNotification();
                              finished = true;
                            })
                    .ok());
    running.WaitForNotification();
    ASSERT_TRUE(queue.Submit(1, [token] {}).ok());
    release.Notify();
  }
  EXPECT_TRUE(finished);
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace shoji::accelerator
