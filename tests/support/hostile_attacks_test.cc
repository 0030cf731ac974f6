// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A hostile accelerator that did not attack would make every test of the enclave's defence pass.
#include "tests/support/hostile_attacks.h"

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/hostile_control.h"
#include "tests/unit/gpu_worker/linear_layers.h"

namespace shoji::testing {
namespace {

using accelerator::RingLayer;
using accelerator::testing::ClearLayer;
using accelerator::testing::RandomLimbs;
using accelerator::testing::ReferenceWords;
using accelerator::testing::SmallLayer;

RingLayer Parsed(const internal::v1::LinearLayer& layer) {
  absl::StatusOr<RingLayer> parsed = accelerator::ParseRingLayer(AsBytes(layer.SerializeAsString()));
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return *std::move(parsed);
}

// The values of an answer, padding left out.
std::vector<uint32_t> ValuesOf(const RingLayer& layer, const std::string& words) {
  const kernels::ConvGeometry& g = layer.geometry;
  const size_t word = kernels::ring::WordBytes(layer.ring);
  std::vector<uint32_t> out;
  for (size_t at = 0; at < words.size(); at += word) {
    if (at / word % kernels::ring::PaddedChannels(g.out_channels) >= static_cast<size_t>(g.out_channels)) {
      continue;
    }
    uint32_t value = 0;
    for (size_t byte = 0; byte < word; ++byte) {
      value |= static_cast<uint32_t>(static_cast<uint8_t>(words[at + byte])) << (8 * byte);
    }
    out.push_back(value);
  }
  return out;
}

std::string AnswerOf(const RingLayer& layer, uint32_t seed) {
  return ToString(ReferenceWords(layer, RandomLimbs(layer, seed)));
}

// What is added to each value that changes, mod the ring.
std::vector<uint32_t> Differences(const RingLayer& layer, const std::string& right, const std::string& wrong) {
  const std::vector<uint32_t> a = ValuesOf(layer, right);
  const std::vector<uint32_t> b = ValuesOf(layer, wrong);
  std::vector<uint32_t> out;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) {
      out.push_back((b[i] - a[i]) & kernels::ring::MaskOf(layer.ring));
    }
  }
  return out;
}

class HostileAttacksTest : public ::testing::TestWithParam<bool> {
 protected:
  // Ring 2^24 with values in the clear, or 2^32 with masked ones.
  const RingLayer layer_ = Parsed(GetParam() ? ClearLayer() : SmallLayer());
  const std::string right_ = AnswerOf(layer_, 1);
  std::mt19937_64 random_{5};

  std::vector<uint32_t> Differing(Attack attack, const EarlierAnswers& earlier = {}) {
    std::string words = right_;
    EXPECT_EQ(CorruptWords(attack, layer_, earlier, random_, words), attack) << NameOf(attack);
    EXPECT_EQ(words.size(), right_.size());
    return Differences(layer_, right_, words);
  }
};
INSTANTIATE_TEST_SUITE_P(Rings, HostileAttacksTest, ::testing::Bool());

TEST_P(HostileAttacksTest, AFlippedBitIsOneBitOfOneValue) {
  std::set<uint32_t> seen;
  for (int i = 0; i < 2000; ++i) {
    std::string words = right_;
    CorruptWords(Attack::kFlippedBit, layer_, {}, random_, words);
    int bits = 0;
    for (size_t at = 0; at < words.size(); ++at) {
      bits += __builtin_popcount(static_cast<uint8_t>(words[at] ^ right_[at]));
    }
    ASSERT_EQ(bits, 1);
    const std::vector<uint32_t> differences = Differences(layer_, right_, words);
    ASSERT_EQ(differences.size(), 1U);
    seen.insert(differences[0]);
  }
  EXPECT_GE(seen.size(), static_cast<size_t>(kernels::ring::Bits(layer_.ring))) << "every bit, low and high";
}

TEST_P(HostileAttacksTest, SmallChangesAreExactlyWhatTheySay) {
  const uint32_t mask = kernels::ring::MaskOf(layer_.ring);
  const bool narrow = layer_.ring == kernels::ring::Ring::k24;
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(Differing(Attack::kOffByOne), ::testing::ElementsAre(::testing::AnyOf(1U, mask)));
    EXPECT_THAT(Differing(Attack::kCompensatingPair), ::testing::UnorderedElementsAre(1U, mask));
    const uint32_t high = narrow ? 1U << 23 : 1U << 24;
    EXPECT_THAT(Differing(Attack::kOffBy2To24), ::testing::ElementsAre(::testing::AnyOf(high, (0U - high) & mask)));
    const uint32_t top = narrow ? 1U << 22 : 1U << 31;
    EXPECT_THAT(Differing(Attack::kOffBy2To31), ::testing::ElementsAre(::testing::AnyOf(top, (0U - top) & mask)));
  }
}

TEST_P(HostileAttacksTest, ReplaysGiveTheAnswerOfAnother) {
  const std::string other = AnswerOf(layer_, 2);
  const std::string old = AnswerOf(layer_, 3);
  const std::string short_one = other.substr(0, 10);
  const EarlierAnswers earlier = {.other_request = &other, .stale = &old, .wrong_layer = &short_one};
  for (const auto& [attack, expected] : {std::pair(Attack::kOtherRequest, other), std::pair(Attack::kStale, old)}) {
    std::string words = right_;
    EXPECT_EQ(CorruptWords(attack, layer_, earlier, random_, words), attack);
    EXPECT_EQ(words, expected);
  }
  std::string words = right_;
  EXPECT_EQ(CorruptWords(Attack::kWrongLayer, layer_, earlier, random_, words), Attack::kWrongLayer);
  EXPECT_EQ(words.substr(0, 20), short_one + short_one) << "repeated to the size";
  EXPECT_EQ(words.size(), right_.size());
}

TEST_P(HostileAttacksTest, ZerosAndTwiceTheAnswer) {
  std::string words = right_;
  EXPECT_EQ(CorruptWords(Attack::kZeros, layer_, {}, random_, words), Attack::kZeros);
  EXPECT_EQ(words, std::string(right_.size(), '\0'));
  words = right_;
  EXPECT_EQ(CorruptWords(Attack::kScaled, layer_, {}, random_, words), Attack::kScaled);
  const std::vector<uint32_t> once = ValuesOf(layer_, right_);
  const std::vector<uint32_t> twice = ValuesOf(layer_, words);
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(twice[i], (2 * once[i]) & kernels::ring::MaskOf(layer_.ring));
  }
}

TEST_P(HostileAttacksTest, AnAttackThatWouldChangeNothingFlipsABitInstead) {
  const std::string zeros(right_.size(), '\0');
  const EarlierAnswers same = {.other_request = &zeros, .stale = &zeros, .wrong_layer = &zeros};
  for (const EarlierAnswers& earlier : {EarlierAnswers(), same}) {
    for (const Attack attack : {Attack::kOtherRequest, Attack::kStale, Attack::kWrongLayer, Attack::kScaled}) {
      std::string words = zeros;
      EXPECT_EQ(CorruptWords(attack, layer_, earlier, random_, words), Attack::kFlippedBit) << NameOf(attack);
      EXPECT_EQ(Differences(layer_, zeros, words).size(), 1U);
    }
  }
}

TEST_P(HostileAttacksTest, ALayerOfOneValueCanBeAttackedToo) {
  RingLayer tiny = layer_;
  tiny.geometry.output = {1, 1};
  tiny.geometry.out_channels = 1;
  for (const Attack attack : AllAttacks()) {
    if (ChangesOnlyWords(attack)) {
      std::string words(tiny.OutputShape().num_elements(), '\0');
      words[0] = 9;
      const std::string right = words;
      CorruptWords(attack, tiny, {}, random_, words);
      EXPECT_NE(ValuesOf(tiny, words), ValuesOf(tiny, right)) << NameOf(attack);
    }
  }
}

TEST(HostileFormTest, ShortLongAndHugeAnswersAreNeverOfTheRightForm) {
  std::mt19937_64 random(3);
  internal::v1::ExecuteReply right;
  right.add_outputs()->set_data_type(v1::UINT8);
  right.mutable_outputs(0)->add_dims(3);
  right.mutable_outputs(0)->add_dims(4);
  right.mutable_outputs(0)->set_data("123412341234");
  for (int i = 0; i < 100; ++i) {
    for (const Attack attack : {Attack::kShort, Attack::kLong, Attack::kHuge}) {
      internal::v1::ExecuteReply reply = right;
      CorruptForm(attack, 1000, random, reply);
      const auto size = [](const internal::v1::ExecuteReply& r) {
        size_t sum = 0;
        for (const internal::v1::Tensor& output : r.outputs()) {
          sum += output.data().size();
        }
        return sum;
      };
      EXPECT_EQ(size(reply) < size(right), attack == Attack::kShort);
      EXPECT_NE(size(reply), size(right)) << reply.DebugString();
    }
  }
}

TEST(HostileControlTest, EveryAttackHasANameAndComesBackFromIt) {
  std::set<std::string> names;
  for (const Attack attack : AllAttacks()) {
    names.insert(NameOf(attack));
    EXPECT_EQ(ParseAttack(NameOf(attack)), attack);
  }
  EXPECT_EQ(names.size(), 18U);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_FALSE(ParseAttack("").has_value());
}

TEST(HostileControlTest, OrdersAndStatusComeBackFromTheirText) {
  using Kind = HostileOrder::Kind;
  for (const HostileOrder& order : {HostileOrder(), HostileOrder{.kind = Kind::kRandom, .one_in = 7},
                                    HostileOrder{.kind = Kind::kOne, .attack = Attack::kStale, .one_in = 2}}) {
    const auto parsed = ParseOrder(ToText(order));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(*parsed, order);
  }
  EXPECT_EQ(ParseOrder("zeros")->one_in, 1U);
  for (const char* wrong : {"", "nonsense", "zeros 0", "zeros x", "random -"}) {
    EXPECT_FALSE(ParseOrder(wrong).ok()) << wrong;
  }
  const HostileStatus status = {
      .executions = 9, .attacks = 3, .of = {{Attack::kZeros, 1}, {Attack::kLate, 2}}, .last = Attack::kLate};
  const auto parsed = ParseStatus(ToText(status));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->executions, 9U);
  EXPECT_EQ(parsed->attacks, 3U);
  EXPECT_EQ(parsed->of, status.of);
  EXPECT_EQ(parsed->last, Attack::kLate);
  EXPECT_FALSE(ParseStatus("nonsense 3").ok());
  EXPECT_FALSE(ParseStatus("zeros x").ok());
}

}  // namespace
}  // namespace shoji::testing
