// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/admission.h"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace shoji::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using Verdict = Admission::Verdict;

class RecordingWaiter final : public Admission::Waiter {
 public:
  RecordingWaiter() = default;
  explicit RecordingWaiter(std::vector<const RecordingWaiter*>& order) : order_(&order) {}
  void OnVerdict(Verdict verdict) override {
    ASSERT_FALSE(told.has_value());
    told = verdict;
    if (order_ != nullptr) {
      order_->push_back(this);
    }
  }
  std::optional<Verdict> told;

 private:
  std::vector<const RecordingWaiter*>* order_ = nullptr;
};

class AdmissionTest : public ::testing::Test {
 protected:
  AdmissionTest() : admission_({{.max_in_flight = 1, .max_queue = 2}, {.max_in_flight = 1, .max_queue = 2}}, clock_) {}

  SteadyTime In(seconds delay) const { return clock_.SteadyNow() + delay; }
  Verdict Enter(Admission::Waiter& waiter, Admission::Flow flow = nullptr, seconds delay = seconds(60)) {
    return admission_.Enter(0, waiter, flow, In(delay));
  }
  // Makes the lane give back a slot every `pace` for a while, as measured by a queue that never runs dry.
  void RunAt(milliseconds pace) {
    admission_.Configure(0, {.max_in_flight = 1, .max_queue = 1000});
    std::vector<std::unique_ptr<RecordingWaiter>> waiters;
    for (int i = 0; i < 120; ++i) {
      waiters.push_back(std::make_unique<RecordingWaiter>());
      ASSERT_NE(Enter(*waiters.back(), &clock_, seconds(3600)), Verdict::kQueueFull);
    }
    for (int i = 0; i < 120; ++i) {
      clock_.Advance(pace);
      admission_.Release(0);
    }
    admission_.Configure(0, {.max_in_flight = 1, .max_queue = 1000, .max_wait = seconds(1)});
  }

  shoji::testing::FakeClock clock_;
  Admission admission_;
  int alice_ = 0;
  int bob_ = 0;
};

TEST_F(AdmissionTest, GivesSlotsAtOnceWhileThereAreSome) {
  RecordingWaiter waiter;
  EXPECT_EQ(admission_.Foresee(0, nullptr), Verdict::kSlot);
  EXPECT_EQ(Enter(waiter), Verdict::kSlot);
  EXPECT_FALSE(waiter.told.has_value());
  EXPECT_EQ(admission_.num_in_flight(), 1U);
}

TEST_F(AdmissionTest, ServesTheQueueOfOneCallerInOrderOfArrival) {
  std::vector<const RecordingWaiter*> order;
  RecordingWaiter holder;
  RecordingWaiter first(order);
  RecordingWaiter second(order);
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  EXPECT_EQ(Enter(first), Verdict::kQueued);
  EXPECT_EQ(Enter(second), Verdict::kQueued);
  admission_.Release(0);
  EXPECT_THAT(order, ElementsAre(&first));
  admission_.Release(0);
  EXPECT_THAT(order, ElementsAre(&first, &second));
  EXPECT_EQ(second.told, Verdict::kSlot);
}

TEST_F(AdmissionTest, ServesCallersInTurn) {
  admission_.Configure(0, {.max_in_flight = 1, .max_queue = 10});
  std::vector<const RecordingWaiter*> order;
  RecordingWaiter holder;
  std::array<RecordingWaiter, 3> flood = {RecordingWaiter(order), RecordingWaiter(order), RecordingWaiter(order)};
  std::array<RecordingWaiter, 2> light = {RecordingWaiter(order), RecordingWaiter(order)};
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  for (RecordingWaiter& waiter : flood) {
    ASSERT_EQ(Enter(waiter, &alice_), Verdict::kQueued);
  }
  for (RecordingWaiter& waiter : light) {
    ASSERT_EQ(Enter(waiter, &bob_), Verdict::kQueued);
  }
  for (int i = 0; i < 5; ++i) {
    admission_.Release(0);
  }
  EXPECT_THAT(order, ElementsAre(&flood[0], &light[0], &flood[1], &light[1], &flood[2]));
}

TEST_F(AdmissionTest, RefusesAtOnceWhenTheQueueIsFull) {
  std::array<RecordingWaiter, 4> waiters;
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_NE(Enter(waiters[i]), Verdict::kQueueFull);
  }
  EXPECT_EQ(admission_.Foresee(0, nullptr), Verdict::kQueueFull);
  EXPECT_EQ(Enter(waiters[3]), Verdict::kQueueFull);
}

TEST_F(AdmissionTest, WhoFloodsMakesRoomForAnotherWhenTheQueueIsFull) {
  RecordingWaiter holder;
  std::array<RecordingWaiter, 2> flood;
  std::array<RecordingWaiter, 2> light;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  ASSERT_EQ(Enter(flood[0], &alice_), Verdict::kQueued);
  ASSERT_EQ(Enter(flood[1], &alice_), Verdict::kQueued);
  EXPECT_EQ(admission_.Foresee(0, &alice_), Verdict::kQueueFull);
  EXPECT_EQ(Enter(light[0], &bob_), Verdict::kQueued);
  EXPECT_EQ(flood[1].told, Verdict::kQueueFull);
  EXPECT_FALSE(flood[0].told.has_value());
  EXPECT_EQ(Enter(light[1], &bob_), Verdict::kQueueFull);  // they have one each now
  EXPECT_EQ(admission_.num_queued(), 2U);
}

TEST_F(AdmissionTest, WhatOneLaneCannotTakeInKeepsNothingFromAnother) {
  std::array<RecordingWaiter, 4> waiters;
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_NE(Enter(waiters[i]), Verdict::kQueueFull);
  }
  EXPECT_EQ(admission_.Enter(1, waiters[3], nullptr, In(seconds(1))), Verdict::kSlot);
}

TEST_F(AdmissionTest, ExpectsTheWaitThatThePaceOfLateMakes) {
  RunAt(milliseconds(20));
  EXPECT_EQ(admission_.num_in_flight(), 0U);
  RecordingWaiter holder;
  std::array<RecordingWaiter, 9> queued;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  for (RecordingWaiter& waiter : queued) {
    ASSERT_EQ(Enter(waiter, &alice_), Verdict::kQueued);
  }
  EXPECT_EQ(admission_.ExpectedWait(0, &alice_), milliseconds(200));
  EXPECT_EQ(admission_.ExpectedWait(0, &bob_), milliseconds(40));  // its turn is the second from now
}

TEST_F(AdmissionTest, RefusesWhoseTurnWouldComeTooLate) {
  RunAt(milliseconds(300));
  RecordingWaiter holder;
  std::array<RecordingWaiter, 5> queued;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(Enter(queued[i], &alice_), Verdict::kQueued);
  }
  EXPECT_EQ(admission_.Foresee(0, &alice_), Verdict::kWaitTooLong);
  EXPECT_EQ(Enter(queued[3], &alice_), Verdict::kWaitTooLong);
  EXPECT_EQ(Enter(queued[4], &bob_), Verdict::kQueued);
}

TEST_F(AdmissionTest, RefusesWhatCannotHaveItsTurnBeforeItsDeadline) {
  RunAt(milliseconds(300));
  RecordingWaiter holder;
  RecordingWaiter first;
  RecordingWaiter second;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  ASSERT_EQ(Enter(first, &alice_), Verdict::kQueued);
  EXPECT_EQ(admission_.Enter(0, second, &alice_, clock_.SteadyNow() + milliseconds(500)), Verdict::kWaitTooLong);
}

TEST_F(AdmissionTest, HoweverSlowThePaceWasOneOfEachCallerMayWait) {
  RunAt(milliseconds(5000));
  RecordingWaiter holder;
  RecordingWaiter waiter;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  EXPECT_EQ(Enter(waiter, &alice_), Verdict::kQueued);
}

TEST_F(AdmissionTest, TimeWithoutAQueueSaysNothingOfThePace) {
  RunAt(milliseconds(20));
  for (int i = 0; i < 50; ++i) {
    RecordingWaiter waiter;
    ASSERT_EQ(Enter(waiter), Verdict::kSlot);
    clock_.Advance(seconds(10));
    admission_.Release(0);
  }
  EXPECT_EQ(admission_.ExpectedWait(0, &alice_), milliseconds(20));
}

TEST_F(AdmissionTest, SkipsWhoseDeadlinePassedInTheQueue) {
  RecordingWaiter holder;
  RecordingWaiter late;
  RecordingWaiter patient;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  ASSERT_EQ(Enter(late, nullptr, seconds(1)), Verdict::kQueued);
  ASSERT_EQ(Enter(patient), Verdict::kQueued);
  clock_.Advance(seconds(2));
  admission_.Release(0);
  EXPECT_EQ(late.told, Verdict::kDeadline);
  EXPECT_EQ(patient.told, Verdict::kSlot);
  EXPECT_EQ(admission_.num_in_flight(), 1U);
}

TEST_F(AdmissionTest, RefusesADeadlineThatHasPassed) {
  RecordingWaiter waiter;
  EXPECT_EQ(Enter(waiter, nullptr, seconds(0)), Verdict::kDeadline);
  EXPECT_EQ(admission_.num_in_flight(), 0U);
}

TEST_F(AdmissionTest, CancelledWaiterIsNeverTold) {
  RecordingWaiter holder;
  RecordingWaiter cancelled;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  ASSERT_EQ(Enter(cancelled), Verdict::kQueued);
  EXPECT_TRUE(admission_.Cancel(cancelled));
  EXPECT_FALSE(admission_.Cancel(cancelled));
  EXPECT_FALSE(admission_.Cancel(holder));
  admission_.Release(0);
  EXPECT_FALSE(cancelled.told.has_value());
  EXPECT_EQ(admission_.num_in_flight(), 0U);
}

TEST_F(AdmissionTest, AFlushTellsAllWhoWaitInTheLane) {
  RecordingWaiter holder;
  std::array<RecordingWaiter, 2> waiters;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  ASSERT_EQ(Enter(waiters[0], &alice_), Verdict::kQueued);
  ASSERT_EQ(Enter(waiters[1], &bob_), Verdict::kQueued);
  admission_.Flush(1);
  EXPECT_EQ(admission_.num_queued(0), 2U);
  admission_.Flush(0);
  EXPECT_EQ(waiters[0].told, Verdict::kFlushed);
  EXPECT_EQ(waiters[1].told, Verdict::kFlushed);
  EXPECT_EQ(admission_.num_queued(), 0U);
  EXPECT_EQ(admission_.num_in_flight(0), 1U);
}

TEST_F(AdmissionTest, MoreSlotsServeTheQueueAtOnce) {
  RecordingWaiter holder;
  RecordingWaiter waiter;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  ASSERT_EQ(Enter(waiter), Verdict::kQueued);
  admission_.Configure(0, {.max_in_flight = 2, .max_queue = 2});
  EXPECT_EQ(waiter.told, Verdict::kSlot);
}

TEST_F(AdmissionTest, DrainRefusesNewcomersAndServesTheQueue) {
  RecordingWaiter holder;
  RecordingWaiter queued;
  RecordingWaiter newcomer;
  ASSERT_EQ(Enter(holder), Verdict::kSlot);
  ASSERT_EQ(Enter(queued), Verdict::kQueued);
  admission_.Drain();
  EXPECT_EQ(Enter(newcomer), Verdict::kDraining);
  EXPECT_FALSE(admission_.AwaitIdle(std::chrono::nanoseconds(0)));
  admission_.Release(0);
  EXPECT_EQ(queued.told, Verdict::kSlot);
  admission_.Release(0);
  EXPECT_TRUE(admission_.AwaitIdle(std::chrono::nanoseconds(0)));
}

// A waiter that fails as soon as it has its slot.
class FailingWaiter final : public Admission::Waiter {
 public:
  explicit FailingWaiter(Admission& admission) : admission_(admission) {}
  void OnVerdict(Verdict verdict) override {
    if (verdict == Verdict::kSlot) {
      admission_.Release(0);
    }
  }

 private:
  Admission& admission_;
};

TEST(AdmissionDepthTest, AWholeQueueThatFailsAtOnceDoesNotPileUpOnTheStack) {
  constexpr size_t kQueue = 100'000;
  const shoji::testing::FakeClock clock;
  Admission admission({{.max_in_flight = 1, .max_queue = kQueue}}, clock);
  RecordingWaiter holder;
  const SteadyTime deadline = clock.SteadyNow() + seconds(1);
  ASSERT_EQ(admission.Enter(0, holder, nullptr, deadline), Verdict::kSlot);
  std::vector<std::unique_ptr<FailingWaiter>> waiters;
  for (size_t i = 0; i < kQueue; ++i) {
    waiters.push_back(std::make_unique<FailingWaiter>(admission));
    ASSERT_EQ(admission.Enter(0, *waiters.back(), nullptr, deadline), Verdict::kQueued);
  }
  admission.Release(0);
  EXPECT_TRUE(admission.AwaitIdle(std::chrono::nanoseconds(0)));
}

}  // namespace
}  // namespace shoji::server
