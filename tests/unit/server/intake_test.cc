// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/intake.h"

#include <array>
#include <chrono>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/support/fake_clock.h"

namespace shoji::server {
namespace {

using std::chrono::milliseconds;

class FakeBody final : public Intake::Body {
 public:
  void OnCutOff() override { ++num_cut_off; }
  int num_cut_off = 0;
};

class IntakeTest : public ::testing::Test {
 protected:
  // Room for three bodies of the largest kind.
  IntakeTest() : intake_({.max_bytes = 300, .max_message_bytes = 100, .grace = milliseconds(1000)}, clock_) {}

  void Fill() {
    for (FakeBody& body : bodies_) {
      ASSERT_TRUE(intake_.Enter(body, nullptr).ok());
    }
  }

  testing::FakeClock clock_;
  Intake intake_;
  std::array<FakeBody, 3> bodies_;
  FakeBody late_;
};

TEST_F(IntakeTest, ABodyCountsForTheLargestUntilItHasArrivedAndForItselfAfterwards) {
  ASSERT_TRUE(intake_.Enter(bodies_[0], nullptr).ok());
  EXPECT_EQ(intake_.num_held_bytes(), 100U);
  EXPECT_TRUE(intake_.Arrived(bodies_[0], 7));
  EXPECT_EQ(intake_.num_held_bytes(), 7U);
  intake_.Leave(bodies_[0]);
  EXPECT_EQ(intake_.num_held_bytes(), 0U);
  intake_.Leave(bodies_[0]);  // the second time it does nothing
  EXPECT_EQ(intake_.num_held_bytes(), 0U);
}

TEST_F(IntakeTest, WithoutRoomANewBodyIsRefusedWithinTheGrace) {
  Fill();
  clock_.Advance(milliseconds(999));
  EXPECT_EQ(ReasonOf(intake_.Enter(late_, nullptr)), Reason::kOverloaded);
  EXPECT_EQ(intake_.num_held_bytes(), 300U);
  EXPECT_EQ(bodies_[0].num_cut_off, 0);
}

TEST_F(IntakeTest, AfterTheGraceTheOldestBodyIsCutOffForANewOne) {
  Fill();
  clock_.Advance(milliseconds(1000));
  EXPECT_TRUE(intake_.Enter(late_, nullptr).ok());
  EXPECT_EQ(bodies_[0].num_cut_off, 1);
  EXPECT_EQ(bodies_[1].num_cut_off, 0);
  EXPECT_EQ(intake_.num_held_bytes(), 300U);
  EXPECT_FALSE(intake_.Arrived(bodies_[0], 50));
  intake_.Leave(bodies_[0]);
  EXPECT_EQ(intake_.num_held_bytes(), 300U);
}

TEST_F(IntakeTest, WhatHasArrivedIsNeverCutOff) {
  Fill();
  for (FakeBody& body : bodies_) {
    EXPECT_TRUE(intake_.Arrived(body, 100));
  }
  clock_.Advance(milliseconds(5000));
  EXPECT_EQ(ReasonOf(intake_.Enter(late_, nullptr)), Reason::kOverloaded);
  intake_.Leave(bodies_[1]);
  EXPECT_TRUE(intake_.Enter(late_, nullptr).ok());
  EXPECT_EQ(bodies_[0].num_cut_off + bodies_[1].num_cut_off + bodies_[2].num_cut_off, 0);
}

TEST_F(IntakeTest, AnAnswerCountsUntilItIsTakenAndIsCutOffForANewBodyAfterTheGrace) {
  Fill();
  for (FakeBody& body : bodies_) {
    EXPECT_TRUE(intake_.Arrived(body, 100));
  }
  intake_.Answering(bodies_[1], 100);
  EXPECT_EQ(intake_.num_held_bytes(), 300U);
  clock_.Advance(milliseconds(999));
  EXPECT_EQ(ReasonOf(intake_.Enter(late_, nullptr)), Reason::kOverloaded);
  clock_.Advance(milliseconds(1));
  EXPECT_TRUE(intake_.Enter(late_, nullptr).ok());
  EXPECT_EQ(bodies_[1].num_cut_off, 1);
  EXPECT_EQ(intake_.num_cut_off(), 1U);
  EXPECT_EQ(intake_.num_held_bytes(), 300U);
}

TEST_F(IntakeTest, SeveralAnswersMakeRoomWhereOneIsNotEnough) {
  Fill();
  EXPECT_TRUE(intake_.Arrived(bodies_[0], 0));
  EXPECT_TRUE(intake_.Arrived(bodies_[1], 0));
  EXPECT_TRUE(intake_.Arrived(bodies_[2], 100));
  intake_.Answering(bodies_[0], 60);
  intake_.Answering(bodies_[1], 70);
  clock_.Advance(milliseconds(1000));
  EXPECT_TRUE(intake_.Enter(late_, nullptr).ok());
  EXPECT_EQ(bodies_[0].num_cut_off, 1);
  EXPECT_EQ(bodies_[1].num_cut_off, 0);
  FakeBody later;
  EXPECT_TRUE(intake_.Enter(later, nullptr).ok());
  EXPECT_EQ(bodies_[1].num_cut_off, 1);
  intake_.Leave(later);
}

TEST_F(IntakeTest, WhatWaitsForItsCallerTooLongIsCutOffEvenWhenThereIsRoom) {
  intake_.Configure(300, milliseconds(5000));
  ASSERT_TRUE(intake_.Enter(bodies_[0], nullptr).ok());
  clock_.Advance(milliseconds(4999));
  ASSERT_TRUE(intake_.Enter(bodies_[1], nullptr).ok());
  EXPECT_EQ(bodies_[0].num_cut_off, 0);
  clock_.Advance(milliseconds(1));
  ASSERT_TRUE(intake_.Enter(late_, nullptr).ok());
  EXPECT_EQ(bodies_[0].num_cut_off, 1);
  EXPECT_EQ(bodies_[1].num_cut_off, 0);
}

TEST_F(IntakeTest, SmallBodiesLeaveRoomForMany) {
  std::vector<std::unique_ptr<FakeBody>> many;
  for (int i = 0; i < 20; ++i) {
    many.push_back(std::make_unique<FakeBody>());
    ASSERT_TRUE(intake_.Enter(*many.back(), nullptr).ok()) << i;
    ASSERT_TRUE(intake_.Arrived(*many.back(), 10));
  }
  EXPECT_EQ(intake_.num_held_bytes(), 200U);
}

TEST_F(IntakeTest, ABodyThatLeavesBeforeItArrivedFreesItsRoom) {
  Fill();
  intake_.Leave(bodies_[2]);
  EXPECT_TRUE(intake_.Enter(late_, nullptr).ok());
}

TEST_F(IntakeTest, AFlowThatHoldsMuchLeavesRoomForAnother) {
  Intake intake({.max_bytes = 1000, .max_message_bytes = 100, .grace = milliseconds(1000)}, clock_);
  const int flood = 0;
  std::vector<std::unique_ptr<FakeBody>> many;
  many.push_back(std::make_unique<FakeBody>());
  while (intake.Enter(*many.back(), &flood).ok()) {
    many.push_back(std::make_unique<FakeBody>());
  }
  EXPECT_EQ(intake.num_held_bytes(), 700U) << "with 800 it would have four times what it leaves, or more";
  const int other = 0;
  EXPECT_TRUE(intake.Enter(bodies_[0], &other).ok());
  EXPECT_TRUE(intake.Enter(bodies_[1], &other).ok());
  // What the flood has sent stays its own, whether it has arrived or not.
  EXPECT_TRUE(intake.Arrived(*many.front(), 100));
  EXPECT_FALSE(intake.Enter(*many.back(), &flood).ok());
  EXPECT_EQ(intake.num_cut_off(), 0U);
  for (const auto& body : many) {
    intake.Leave(*body);
  }
  EXPECT_TRUE(intake.Enter(*many.back(), &flood).ok());
  intake.Leave(*many.back());
}

TEST_F(IntakeTest, AFlowThatHoldsMuchMakesRoomForItselfAndNotAtTheCostOfOthers) {
  Intake intake({.max_bytes = 1000, .max_message_bytes = 100, .grace = milliseconds(1000)}, clock_);
  const int other = 0;
  ASSERT_TRUE(intake.Enter(bodies_[0], &other).ok());
  const int flood = 0;
  std::vector<std::unique_ptr<FakeBody>> many;
  many.push_back(std::make_unique<FakeBody>());
  while (intake.Enter(*many.back(), &flood).ok()) {
    many.push_back(std::make_unique<FakeBody>());
  }
  clock_.Advance(milliseconds(1000));
  EXPECT_TRUE(intake.Enter(*many.back(), &flood).ok());
  EXPECT_EQ(many.front()->num_cut_off, 1);
  EXPECT_EQ(bodies_[0].num_cut_off, 0) << "although it has waited for longest";
  for (const auto& body : many) {
    intake.Leave(*body);
  }
}

TEST_F(IntakeTest, AMessageLargerThanAllTheRoomTakesAllOfIt) {
  Intake tight({.max_bytes = 50, .max_message_bytes = 100}, clock_);
  EXPECT_TRUE(tight.Enter(bodies_[0], nullptr).ok());
  EXPECT_FALSE(tight.Enter(bodies_[1], nullptr).ok());
  tight.Leave(bodies_[0]);
}

}  // namespace
}  // namespace shoji::server
