// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/challenge_keeper.h"

#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/masking/layer_codec.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/enclave_worker/core/linear_layers.h"

namespace shoji::enclave {
namespace {

using Verdict = ChallengeKeeper::Verdict;

class ChallengeKeeperTest : public ::testing::Test {
 protected:
  // The verdict on a check under `draw`, of an answer that is right (all zeros for an input of zero points) or not.
  Verdict JudgeUnder(ChallengeKeeper& keeper, ChallengeKeeper::Draw& draw, bool right) {
    InputSum input(draw.challenge());
    OutputSum output(draw.challenge());
    const std::vector<uint8_t> q(20, right ? layer_.input_zero_point : uint8_t{9});
    input.AddRow(0, q);
    codec_.UnmaskRow({words_, pad_words_}, 0, &output, std::span<float>(values_));
    return keeper.Judge(draw, output, input);
  }

  const quantization::LinearLayer layer_ = testing::SeededLayer(20, 4, 1, 3);
  const LayerCodec codec_{layer_, BestCodecIsa()};
  const std::vector<uint8_t> words_ = std::vector<uint8_t>(12);
  const std::vector<uint8_t> pad_words_ = std::vector<uint8_t>(12);
  std::vector<float> values_ = std::vector<float>(4);
  testing::FakeClock clock_;
};

TEST_F(ChallengeKeeperTest, ARightAnswerPassesAndTheDrawStays) {
  ChallengeKeeper keeper(layer_, {}, clock_);
  const auto draw = keeper.Current();
  EXPECT_EQ(JudgeUnder(keeper, *draw, true), Verdict::kRight);
  EXPECT_EQ(keeper.Current(), draw);
}

TEST_F(ChallengeKeeperTest, AWrongAnswerKillsTheDraw) {
  ChallengeKeeper keeper(layer_, {}, clock_);
  const auto draw = keeper.Current();
  EXPECT_EQ(JudgeUnder(keeper, *draw, false), Verdict::kWrong);
  EXPECT_NE(keeper.Current(), draw);
}

TEST_F(ChallengeKeeperTest, NoVerdictUnderADeadDrawCountsForAnAnswer) {
  ChallengeKeeper keeper(layer_, {}, clock_);
  const auto draw = keeper.Current();
  const auto same = keeper.Current();
  EXPECT_EQ(JudgeUnder(keeper, *draw, false), Verdict::kWrong);
  EXPECT_EQ(JudgeUnder(keeper, *same, true), Verdict::kVoid);
  EXPECT_EQ(JudgeUnder(keeper, *keeper.Current(), true), Verdict::kRight);
}

TEST_F(ChallengeKeeperTest, DrawsAnewAfterEnoughChecksAndAfterEnoughTime) {
  ChallengeKeeper keeper(layer_, {.checks_per_draw = 3, .draw_lifetime = std::chrono::minutes(1)}, clock_);
  const auto first = keeper.Current();
  EXPECT_EQ(keeper.Current(), first);
  EXPECT_EQ(keeper.Current(), first);
  const auto second = keeper.Current();
  EXPECT_NE(second, first);
  EXPECT_EQ(JudgeUnder(keeper, *first, true), Verdict::kRight) << "replaced on schedule, not dead";
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_NE(keeper.Current(), second);
}

}  // namespace
}  // namespace shoji::enclave
