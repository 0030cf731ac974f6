// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/replay_window.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "lib/base/reason.h"

namespace shoji::channel {
namespace {

TEST(ReplayWindowTest, ANumberIsAcceptedOnce) {
  ReplayWindow window(64);
  EXPECT_TRUE(window.Mark(5).ok());
  EXPECT_EQ(ReasonOf(window.Check(5)), Reason::kReplayed);
  EXPECT_EQ(ReasonOf(window.Mark(5)), Reason::kReplayed);
}

TEST(ReplayWindowTest, NumberZeroIsANumberLikeAnyOther) {
  ReplayWindow window(64);
  EXPECT_TRUE(window.Check(0).ok());
  EXPECT_TRUE(window.Mark(0).ok());
  EXPECT_EQ(ReasonOf(window.Mark(0)), Reason::kReplayed);
}

TEST(ReplayWindowTest, CheckHasNoEffect) {
  ReplayWindow window(64);
  EXPECT_TRUE(window.Check(1000000).ok());
  EXPECT_TRUE(window.Check(1000000).ok());
  EXPECT_TRUE(window.Mark(1).ok());
}

TEST(ReplayWindowTest, AnyOrderWithinTheWindowIsAcceptedOnce) {
  ReplayWindow window(128);
  std::vector<uint64_t> order(128);
  for (uint64_t i = 0; i < order.size(); ++i) {
    order[i] = 1000 + i;
  }
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));  // NOLINT(cert-msc51-cpp): the same order every time
  for (const uint64_t number : order) {
    EXPECT_TRUE(window.Mark(number).ok()) << number;
  }
  for (const uint64_t number : order) {
    EXPECT_EQ(ReasonOf(window.Mark(number)), Reason::kReplayed) << number;
  }
}

TEST(ReplayWindowTest, TheOldestNumberInTheWindowIsAcceptedAndTheOneBeforeItRefused) {
  ReplayWindow window(64);
  ASSERT_TRUE(window.Mark(100).ok());
  EXPECT_TRUE(window.Check(100 - 63).ok());
  EXPECT_EQ(ReasonOf(window.Check(100 - 64)), Reason::kSequenceTooOld);
  EXPECT_EQ(ReasonOf(window.Mark(100 - 64)), Reason::kSequenceTooOld);
}

TEST(ReplayWindowTest, AJumpPastTheWindowForgetsNothingThatIsStillInIt) {
  ReplayWindow window(64);
  ASSERT_TRUE(window.Mark(10).ok());
  ASSERT_TRUE(window.Mark(10 + 63).ok());
  EXPECT_EQ(ReasonOf(window.Check(10)), Reason::kReplayed);
  ASSERT_TRUE(window.Mark(10 + 64).ok());
  EXPECT_EQ(ReasonOf(window.Check(10)), Reason::kSequenceTooOld);
}

TEST(ReplayWindowTest, TheLargestNumberIsHandled) {
  ReplayWindow window(64);
  const uint64_t largest = std::numeric_limits<uint64_t>::max();
  ASSERT_TRUE(window.Mark(largest - 1).ok());
  EXPECT_TRUE(window.Mark(largest).ok());
  EXPECT_EQ(ReasonOf(window.Mark(largest)), Reason::kReplayed);
  EXPECT_TRUE(window.Mark(largest - 63).ok());
  EXPECT_EQ(ReasonOf(window.Mark(0)), Reason::kSequenceTooOld);
}

TEST(ReplayWindowTest, SizesAreRoundedUpToWholeWords) {
  EXPECT_EQ(ReplayWindow(1).size(), 64u);
  EXPECT_EQ(ReplayWindow(65).size(), 128u);
  EXPECT_EQ(ReplayWindow(1024).size(), 1024u);
}

// The rule in its plainest form: everything ever marked, in a set.
class NaiveWindow {
 public:
  explicit NaiveWindow(uint64_t size) : size_(size) {}
  Reason Mark(uint64_t number) {
    const uint64_t highest = seen_.empty() ? 0 : *seen_.rbegin();
    if (number <= highest && highest - number >= size_) {
      return Reason::kSequenceTooOld;
    }
    return seen_.insert(number).second ? Reason::kUnspecified : Reason::kReplayed;
  }

 private:
  uint64_t size_;
  std::set<uint64_t> seen_;
};

TEST(ReplayWindowTest, AgreesWithANaiveSetOverRandomWalks) {
  std::mt19937_64 random(20260101);  // NOLINT(cert-msc51-cpp): the same walk every time
  for (const uint64_t size : std::vector<uint64_t>{64, 192, 1024}) {
    ReplayWindow window(size);
    NaiveWindow naive(size);
    uint64_t centre = 0;
    for (int step = 0; step < 20000; ++step) {
      if (random() % 8 == 0) {
        centre += random() % (random() % 16 == 0 ? 3 * size : size / 4);
      }
      const uint64_t back = random() % (2 * size);
      const uint64_t number = centre + 8 > back ? centre + 8 - back : 0;
      const bool is_free = window.Check(number).ok();
      const Reason expected = naive.Mark(number);
      ASSERT_EQ(is_free, expected == Reason::kUnspecified) << "size " << size << " step " << step;
      ASSERT_EQ(ReasonOf(window.Mark(number)), expected) << "size " << size << " step " << step;
    }
  }
}

}  // namespace
}  // namespace shoji::channel
