// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/admission.h"

#include <memory>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/support/fake_clock.h"

namespace shoji::server {
namespace {

using Entry = Admission::Entry;

class RecordingWaiter final : public Admission::Waiter {
 public:
  RecordingWaiter() = default;
  explicit RecordingWaiter(std::vector<const RecordingWaiter*>& order) : order_(&order) {}
  void OnSlot(const absl::Status& status) override {
    ASSERT_FALSE(told.has_value());
    told = status;
    if (order_ != nullptr) {
      order_->push_back(this);
    }
  }
  std::optional<absl::Status> told;

 private:
  std::vector<const RecordingWaiter*>* order_ = nullptr;
};

class AdmissionTest : public ::testing::Test {
 protected:
  SteadyTime In(std::chrono::seconds delay) const { return clock_.SteadyNow() + delay; }

  shoji::testing::FakeClock clock_;
  Admission admission_{{.max_in_flight = 1, .max_queue = 2}, clock_};
};

TEST_F(AdmissionTest, GivesSlotsAtOnceWhileThereAreSome) {
  RecordingWaiter waiter;
  EXPECT_EQ(*admission_.Enter(waiter, In(std::chrono::seconds(1))), Entry::kSlot);
  EXPECT_FALSE(waiter.told.has_value());
  EXPECT_EQ(admission_.num_in_flight(), 1U);
}

TEST_F(AdmissionTest, ServesTheQueueInOrderOfArrival) {
  std::vector<const RecordingWaiter*> order;
  RecordingWaiter holder;
  RecordingWaiter first(order);
  RecordingWaiter second(order);
  ASSERT_EQ(*admission_.Enter(holder, In(std::chrono::seconds(1))), Entry::kSlot);
  EXPECT_EQ(*admission_.Enter(first, In(std::chrono::seconds(1))), Entry::kQueued);
  EXPECT_EQ(*admission_.Enter(second, In(std::chrono::seconds(1))), Entry::kQueued);
  admission_.Release();
  EXPECT_THAT(order, ::testing::ElementsAre(&first));
  admission_.Release();
  EXPECT_THAT(order, ::testing::ElementsAre(&first, &second));
  EXPECT_TRUE(second.told->ok());
}

TEST_F(AdmissionTest, RefusesAtOnceWhenTheQueueIsFull) {
  RecordingWaiter waiters[4];
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(admission_.Enter(waiters[i], In(std::chrono::seconds(1))).ok());
  }
  const absl::Status status = admission_.Enter(waiters[3], In(std::chrono::seconds(1))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), Reason::kOverloaded);
}

TEST_F(AdmissionTest, SkipsWhoseDeadlinePassedInTheQueue) {
  RecordingWaiter holder;
  RecordingWaiter late;
  RecordingWaiter patient;
  ASSERT_TRUE(admission_.Enter(holder, In(std::chrono::seconds(60))).ok());
  ASSERT_TRUE(admission_.Enter(late, In(std::chrono::seconds(1))).ok());
  ASSERT_TRUE(admission_.Enter(patient, In(std::chrono::seconds(60))).ok());
  clock_.Advance(std::chrono::seconds(2));
  admission_.Release();
  EXPECT_EQ(ReasonOf(*late.told), Reason::kDeadline);
  EXPECT_TRUE(patient.told->ok());
  EXPECT_EQ(admission_.num_in_flight(), 1U);
}

TEST_F(AdmissionTest, RefusesADeadlineThatHasPassed) {
  RecordingWaiter waiter;
  EXPECT_EQ(ReasonOf(admission_.Enter(waiter, clock_.SteadyNow()).status()), Reason::kDeadline);
}

TEST_F(AdmissionTest, CancelledWaiterIsNeverTold) {
  RecordingWaiter holder;
  RecordingWaiter cancelled;
  ASSERT_TRUE(admission_.Enter(holder, In(std::chrono::seconds(1))).ok());
  ASSERT_TRUE(admission_.Enter(cancelled, In(std::chrono::seconds(1))).ok());
  EXPECT_TRUE(admission_.Cancel(cancelled));
  EXPECT_FALSE(admission_.Cancel(cancelled));
  EXPECT_FALSE(admission_.Cancel(holder));
  admission_.Release();
  EXPECT_FALSE(cancelled.told.has_value());
  EXPECT_EQ(admission_.num_in_flight(), 0U);
}

TEST_F(AdmissionTest, DrainRefusesNewcomersAndServesTheQueue) {
  RecordingWaiter holder;
  RecordingWaiter queued;
  RecordingWaiter newcomer;
  ASSERT_TRUE(admission_.Enter(holder, In(std::chrono::seconds(1))).ok());
  ASSERT_TRUE(admission_.Enter(queued, In(std::chrono::seconds(1))).ok());
  admission_.Drain();
  EXPECT_EQ(ReasonOf(admission_.Enter(newcomer, In(std::chrono::seconds(1))).status()), Reason::kDraining);
  EXPECT_FALSE(admission_.AwaitIdle(std::chrono::nanoseconds(0)));
  admission_.Release();
  EXPECT_TRUE(queued.told->ok());
  admission_.Release();
  EXPECT_TRUE(admission_.AwaitIdle(std::chrono::nanoseconds(0)));
}

// A waiter that fails as soon as it has its slot.
class FailingWaiter final : public Admission::Waiter {
 public:
  explicit FailingWaiter(Admission& admission) : admission_(admission) {}
  void OnSlot(const absl::Status& status) override {
    if (status.ok()) {
      admission_.Release();
    }
  }

 private:
  Admission& admission_;
};

TEST(AdmissionDepthTest, AWholeQueueThatFailsAtOnceDoesNotPileUpOnTheStack) {
  constexpr size_t kQueue = 100'000;
  const shoji::testing::FakeClock clock;
  Admission admission({.max_in_flight = 1, .max_queue = kQueue}, clock);
  RecordingWaiter holder;
  const SteadyTime deadline = clock.SteadyNow() + std::chrono::seconds(1);
  ASSERT_TRUE(admission.Enter(holder, deadline).ok());
  std::vector<std::unique_ptr<FailingWaiter>> waiters;
  for (size_t i = 0; i < kQueue; ++i) {
    waiters.push_back(std::make_unique<FailingWaiter>(admission));
    ASSERT_TRUE(admission.Enter(*waiters.back(), deadline).ok());
  }
  admission.Release();
  EXPECT_TRUE(admission.AwaitIdle(std::chrono::nanoseconds(0)));
}

}  // namespace
}  // namespace shoji::server
