// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/quarantine.h"

#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace shoji::enclave {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// No more than a name.
class NamedAccelerator final : public Accelerator {
 public:
  explicit NamedAccelerator(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  bool ready() const override { return true; }
  bool Serves(const digest::Sha256Digest& /*digest*/) const override { return true; }
  size_t num_in_flight() const override { return 0; }
  void Register(const digest::Sha256Digest& /*digest*/, std::shared_ptr<const Bytes> /*bytes*/,
                SubModelFormat /*format*/) override {}
  void Unregister(const digest::Sha256Digest& /*digest*/) override {}
  absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& /*digest*/,
                                              std::span<const Tensor* const> /*inputs*/,
                                              const enclave::Execution& /*execution*/) override {
    return absl::UnimplementedError("not asked for here");
  }

 private:
  const std::string name_;
};

class QuarantineTest : public ::testing::Test {
 protected:
  using Term = std::tuple<std::string, Offence, nanoseconds>;

  // How long `accelerator` is held from now, to the second; the clock is there afterwards.
  int SecondsUntilRelease(const Accelerator& accelerator) {
    int count = 0;
    for (; quarantine_.Holds(accelerator); ++count) {
      clock_.Advance(seconds(1));
    }
    return count;
  }

  testing::FakeClock clock_;
  NamedAccelerator a_{"a"};
  NamedAccelerator b_{"b"};
  std::vector<Term> terms_;
  Quarantine quarantine_{clock_,
                         {.first = seconds(10),
                          .max = seconds(35),
                          .on_term = [this](const Accelerator& accelerator, Offence offence, nanoseconds term) {
                            terms_.emplace_back(accelerator.name(), offence, term);
                          }}};
};

TEST_F(QuarantineTest, HoldsOnlyWhoWasPunishedAndOnlyForTheFirstTerm) {
  EXPECT_FALSE(quarantine_.Holds(a_));
  quarantine_.Punish(a_);
  EXPECT_TRUE(quarantine_.Holds(a_));
  EXPECT_FALSE(quarantine_.Holds(b_));
  EXPECT_EQ(quarantine_.num_held(), 1U);
  EXPECT_EQ(SecondsUntilRelease(a_), 10);
  EXPECT_EQ(quarantine_.num_held(), 0U);
}

TEST_F(QuarantineTest, EveryFurtherTermIsTwiceTheLastUpToTheLongest) {
  for (const int expected : {10, 20, 35, 35}) {
    quarantine_.Punish(a_);
    EXPECT_EQ(SecondsUntilRelease(a_), expected);
  }
  quarantine_.Punish(b_);
  EXPECT_EQ(SecondsUntilRelease(b_), 10) << "each has a history of its own";
}

TEST_F(QuarantineTest, WhoWasGoodForLongStartsAtTheFirstTermAgain) {
  quarantine_.Punish(a_);
  SecondsUntilRelease(a_);
  clock_.Advance(seconds(34));
  quarantine_.Punish(a_);
  EXPECT_EQ(SecondsUntilRelease(a_), 20) << "34 seconds are not long enough";
  clock_.Advance(seconds(35));
  quarantine_.Punish(a_);
  EXPECT_EQ(SecondsUntilRelease(a_), 10);
}

TEST_F(QuarantineTest, OffencesDuringATermAreCountedAndDoNotMakeItLonger) {
  quarantine_.Punish(a_, Offence::kWrongAnswer);
  quarantine_.Punish(a_, Offence::kWrongAnswer);
  quarantine_.Punish(a_, Offence::kNoAnswer);
  EXPECT_EQ(quarantine_.num_offences(Offence::kWrongAnswer), 2U);
  EXPECT_EQ(quarantine_.num_offences(Offence::kNoAnswer), 1U);
  EXPECT_EQ(quarantine_.num_offences(Offence::kMalformedAnswer), 0U);
  EXPECT_EQ(quarantine_.num_terms(), 1U);
  EXPECT_EQ(SecondsUntilRelease(a_), 10);
  quarantine_.Punish(a_);
  EXPECT_EQ(SecondsUntilRelease(a_), 20);
}

TEST_F(QuarantineTest, ReleaseAllFreesEveryoneAndForgetsTheirTerms) {
  quarantine_.Punish(a_);
  SecondsUntilRelease(a_);
  quarantine_.Punish(a_);
  quarantine_.Punish(b_);
  EXPECT_EQ(quarantine_.num_held(), 2U);
  quarantine_.ReleaseAll();
  EXPECT_EQ(quarantine_.num_held(), 0U);
  EXPECT_FALSE(quarantine_.Holds(a_) || quarantine_.Holds(b_));
  EXPECT_EQ(quarantine_.num_terms(), 3U) << "counts are since the start";
  quarantine_.Punish(a_);
  EXPECT_EQ(SecondsUntilRelease(a_), 10);
}

TEST_F(QuarantineTest, SaysWhoIsHeldForWhatAndForHowLong) {
  quarantine_.Punish(a_, Offence::kMalformedAnswer);
  quarantine_.Punish(a_, Offence::kWrongAnswer);
  SecondsUntilRelease(a_);
  quarantine_.Punish(a_, Offence::kNoAnswer);
  EXPECT_THAT(terms_, ::testing::ElementsAre(Term("a", Offence::kMalformedAnswer, seconds(10)),
                                             Term("a", Offence::kNoAnswer, seconds(20))));
}

TEST_F(QuarantineTest, ALongestTermBelowTheFirstBoundsTheFirst) {
  Quarantine quarantine(clock_, {.first = seconds(10), .max = seconds(3), .on_term = {}});
  quarantine.Punish(a_);
  clock_.Advance(seconds(3));
  EXPECT_FALSE(quarantine.Holds(a_));
}

TEST_F(QuarantineTest, OffencesHaveNames) {
  EXPECT_STREQ(NameOf(Offence::kWrongAnswer), "wrong_answer");
  EXPECT_STREQ(NameOf(Offence::kMalformedAnswer), "malformed_answer");
  EXPECT_STREQ(NameOf(Offence::kNoAnswer), "no_answer");
}

}  // namespace
}  // namespace shoji::enclave
