// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/compute_slots.h"

#include <thread>

#include <gtest/gtest.h>

namespace shoji::enclave {
namespace {

TEST(ComputeSlotsTest, RefusesAtTheDeadlineWhenNoneIsFree) {
  const RealClock clock;
  ComputeSlots slots(1, clock);
  ASSERT_TRUE(slots.Acquire(clock.SteadyNow() + std::chrono::minutes(1)).ok());
  EXPECT_EQ(ReasonOf(slots.Acquire(clock.SteadyNow() + std::chrono::milliseconds(20))), Reason::kDeadline);
  slots.Release();
  EXPECT_TRUE(slots.Acquire(clock.SteadyNow() + std::chrono::minutes(1)).ok());
}

TEST(ComputeSlotsTest, AReleasedSlotWakesAWaiter) {
  const RealClock clock;
  ComputeSlots slots(1, clock);
  ASSERT_TRUE(slots.Acquire(SteadyTime::max()).ok());
  absl::Status waited;
  {
    const std::jthread waiter([&] { waited = slots.Acquire(clock.SteadyNow() + std::chrono::minutes(1)); });
    slots.Release();
  }
  EXPECT_TRUE(waited.ok());
}

TEST(ComputeSlotsTest, ADeadlineThatHasPassedTakesNoSlot) {
  const RealClock clock;
  ComputeSlots slots(1, clock);
  EXPECT_EQ(ReasonOf(slots.Acquire(clock.SteadyNow() - std::chrono::seconds(1))), Reason::kDeadline);
  EXPECT_TRUE(slots.Acquire(clock.SteadyNow() + std::chrono::minutes(1)).ok());
}

}  // namespace
}  // namespace shoji::enclave
