// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/verification/challenge.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/verification/challenge_tables.h"
#include "enclave_worker/core/verification/field.h"
#include "tests/unit/enclave_worker/core/verification/random_layer.h"

namespace shoji::enclave {
namespace {

using quantization::LinearLayer;

struct Secrets {
  std::vector<uint64_t> s;
  uint64_t alpha = 1;
  uint64_t beta = 1;
};
Secrets MakeSecrets(Random& random, const LinearLayer& layer) {
  Secrets secrets;
  for (int64_t c = 0; c < layer.geometry.out_channels; ++c) {
    secrets.s.push_back(RandomElement(random));
  }
  secrets.alpha = 1 + random() % (field::kPrime - 1);
  secrets.beta = 1 + random() % (field::kPrime - 1);
  return secrets;
}
std::unique_ptr<const Challenge> MakeChallenge(const LinearLayer& layer, const Secrets& secrets) {
  return Challenge::FromSecrets(layer, secrets.s, secrets.alpha, secrets.beta);
}

std::vector<SumIsa> Isas() {
  std::vector<SumIsa> isas = {SumIsa::kPortable};
  if (IsSupported(SumIsa::kAvx512)) {
    isas.push_back(SumIsa::kAvx512);
  }
  return isas;
}

// The sum of s t a' over output rows [begin, end), by its definition.
uint64_t NaiveOutputSum(const LinearLayer& layer, const Secrets& secrets, const std::vector<int64_t>& a, int64_t begin,
                        int64_t end) {
  const kernels::ConvGeometry& g = layer.geometry;
  uint64_t sum = 0;
  for (int64_t h = begin; h < end; ++h) {
    for (int64_t w = 0; w < g.output[1]; ++w) {
      const uint64_t t = field::Multiply(field::Power(secrets.alpha, static_cast<uint64_t>(h)),
                                         field::Power(secrets.beta, static_cast<uint64_t>(w)));
      for (int64_t c = 0; c < g.out_channels; ++c) {
        const auto channel = static_cast<size_t>(c);
        const auto at = static_cast<size_t>((h * g.output[1] + w) * g.out_channels + c);
        sum = field::Add(
            sum, field::Multiply(field::Multiply(t, secrets.s[channel]), field::FromSigned(a[at] - layer.lo[channel])));
      }
    }
  }
  return sum;
}
OutputSum SumOfAnswer(const Challenge& challenge, const Secrets& secrets, const std::vector<int64_t>& a) {
  OutputSum sum(challenge);
  sum.AddValue(NaiveOutputSum(challenge.layer(), secrets, a, 0, challenge.layer().geometry.output[0]));
  return sum;
}

InputSum SumOfInput(const Challenge& challenge, std::span<const uint8_t> q, SumIsa isa) {
  InputSum sum(challenge, isa);
  for (int64_t h = 0; h < challenge.layer().geometry.input[0]; ++h) {
    sum.AddRow(h, RowOfActivations(challenge.layer(), q, h));
  }
  return sum;
}

TEST(ChallengeTest, AnHonestAnswerOfAnyLayerPassesInEveryImplementation) {
  Random random(1);
  for (int n = 0; n < 3000; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const Secrets secrets = MakeSecrets(random, layer);
    const auto challenge = MakeChallenge(layer, secrets);
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const OutputSum output = SumOfAnswer(*challenge, secrets, Accumulators(layer, q));
    for (const SumIsa isa : Isas()) {
      ASSERT_TRUE(challenge->Verify(output, SumOfInput(*challenge, q, isa))) << Describe(layer);
    }
  }
}

TEST(ChallengeTest, ImplementationsOfTheInputSumAgree) {
  if (!IsSupported(SumIsa::kAvx512)) {
    GTEST_SKIP() << "this CPU lacks AVX-512";
  }
  Random random(2);
  for (int n = 0; n < 1000; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const auto challenge = MakeChallenge(layer, MakeSecrets(random, layer));
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    for (int64_t h = 0; h < layer.geometry.input[0]; ++h) {
      InputSum portable(*challenge, SumIsa::kPortable);
      InputSum vectorized(*challenge, SumIsa::kAvx512);
      portable.AddRow(h, RowOfActivations(layer, q, h));
      vectorized.AddRow(h, RowOfActivations(layer, q, h));
      ASSERT_EQ(portable.Value(), vectorized.Value()) << Describe(layer);
    }
  }
}

TEST(ChallengeTest, LargeLayersDoNotOverflowTheirAccumulators) {
  struct Size {
    int64_t in_channels, height, width;
  };
  Random random(3);
  // Many channels; rows longer than a run; more positions than 32 bits hold.
  for (const Size& size : {Size{40000, 1, 2}, Size{33000, 1, 8}, Size{3, 1, 40000}, Size{1, 600, 400}}) {
    kernels::ConvGeometry g{.in_channels = size.in_channels,
                            .out_channels = 2,
                            .input = {size.height, size.width},
                            .output = {},
                            .window = {}};
    const LinearLayer layer = MakeLayer(random, g, 0);
    Secrets secrets = MakeSecrets(random, layer);
    secrets.s = {field::kPrime - 1, field::kPrime - 1};  // the largest factors, also of the digits' signs
    for (const uint64_t beta : {uint64_t{1}, field::kPrime - 1, field::kPrime / 2, secrets.beta}) {
      secrets.beta = beta;
      const auto challenge = MakeChallenge(layer, secrets);
      const std::vector<uint8_t> q(MakeActivations(random, layer).size(), 255);
      const OutputSum output = SumOfAnswer(*challenge, secrets, Accumulators(layer, q));
      for (const SumIsa isa : Isas()) {
        ASSERT_TRUE(challenge->Verify(output, SumOfInput(*challenge, q, isa))) << Describe(layer);
      }
    }
  }
}

TEST(ChallengeTest, SumsOfDisjointRowsAddUp) {
  Random random(4);
  for (int n = 0; n < 300; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const Secrets secrets = MakeSecrets(random, layer);
    const auto challenge = MakeChallenge(layer, secrets);
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const std::vector<int64_t> a = Accumulators(layer, q);
    const int64_t split = Between(random, 0, layer.geometry.output[0]);
    OutputSum output(*challenge);
    OutputSum lower(*challenge);
    output.AddValue(NaiveOutputSum(layer, secrets, a, 0, split));
    lower.AddValue(NaiveOutputSum(layer, secrets, a, split, layer.geometry.output[0]));
    output.Add(lower);
    for (const SumIsa isa : Isas()) {
      InputSum parts[3] = {InputSum(*challenge, isa), InputSum(*challenge, SumIsa::kPortable),
                           InputSum(*challenge, isa)};
      for (int64_t h = 0; h < layer.geometry.input[0]; ++h) {
        parts[random() % 3].AddRow(h, RowOfActivations(layer, q, h));
      }
      parts[0].Add(parts[1]);
      parts[0].Add(parts[2]);
      ASSERT_EQ(parts[0].Value(), SumOfInput(*challenge, q, SumIsa::kPortable).Value());
      ASSERT_TRUE(challenge->Verify(output, parts[0]));
    }
  }
}

// What an accelerator might answer instead of `a`.
using Answer = std::vector<int64_t>;
void ExpectRefused(const Challenge& challenge, const Secrets& secrets, const InputSum& input, const Answer& honest,
                   const Answer& forged, const char* what) {
  EXPECT_EQ(challenge.Verify(SumOfAnswer(challenge, secrets, forged), input), forged == honest)
      << what << " of " << Describe(challenge.layer());
}

TEST(ChallengeTest, EveryForgedAnswerIsRefused) {
  Random random(5);
  for (int n = 0; n < 200; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const Secrets secrets = MakeSecrets(random, layer);
    const auto challenge = MakeChallenge(layer, secrets);
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const Answer honest = Accumulators(layer, q);
    const InputSum input = SumOfInput(*challenge, q, BestSumIsa());
    const size_t at = random() % honest.size();
    const size_t other = (at + 1 + random() % std::max<size_t>(honest.size() - 1, 1)) % honest.size();
    for (const int64_t by : {int64_t{1}, int64_t{-1}, int64_t{1} << 24, int64_t{1} << 31, -(int64_t{1} << 31)}) {
      Answer forged = honest;
      forged[at] += by;
      ExpectRefused(*challenge, secrets, input, honest, forged, "an error of one value");
      forged[other] -= by;
      ExpectRefused(*challenge, secrets, input, honest, forged, "a compensating pair");
    }
    Answer forged = honest;
    std::swap(forged[at], forged[other]);
    ExpectRefused(*challenge, secrets, input, honest, forged, "a swap");
    std::rotate(forged.begin(), forged.begin() + 1, forged.end());
    ExpectRefused(*challenge, secrets, input, honest, forged, "a shift");
    for (int64_t& value : forged = honest) {
      value *= 2;
    }
    ExpectRefused(*challenge, secrets, input, honest, forged, "a scaled answer");
    ExpectRefused(*challenge, secrets, input, honest, Answer(honest.size(), 0), "zeros");
  }
}

// The answer to another input, or with other weights, is right for something, but not for this.
TEST(ChallengeTest, TheRightAnswerToAnotherQuestionIsRefused) {
  Random random(6);
  for (int n = 0; n < 200; ++n) {
    LinearLayer layer = MakeRandomLayer(random);
    const Secrets secrets = MakeSecrets(random, layer);
    const auto challenge = MakeChallenge(layer, secrets);
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const Answer honest = Accumulators(layer, q);
    const InputSum input = SumOfInput(*challenge, q, BestSumIsa());
    std::vector<uint8_t> changed = q;
    changed[random() % changed.size()] ^= 1;
    ExpectRefused(*challenge, secrets, input, honest, Accumulators(layer, changed), "the answer to another input");
    LinearLayer reweighted = layer;
    reweighted.weights[random() % reweighted.weights.size()] ^= 1;
    ExpectRefused(*challenge, secrets, input, honest, Accumulators(reweighted, q), "the answer with another weight");
  }
}

TEST(ChallengeTest, DrawsDiffer) {
  Random random(7);
  const LinearLayer layer = MakeRandomLayer(random);
  const auto first = Challenge::Draw(layer);
  const auto second = Challenge::Draw(layer);
  EXPECT_NE(first->tables().alpha, second->tables().alpha);
  EXPECT_NE(first->tables().beta, second->tables().beta);
  EXPECT_NE(first->tables().alpha, first->tables().beta);
  EXPECT_NE(first->tables().s[LaneOf(0)], second->tables().s[LaneOf(0)]);
}

TEST(ChallengeTest, ADrawnChallengeAcceptsTheHonestAnswerAndRefusesAForgedOne) {
  Random random(8);
  for (int n = 0; n < 100; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const auto challenge = Challenge::Draw(layer);
    Secrets secrets{.s = {}, .alpha = challenge->tables().alpha, .beta = challenge->tables().beta};
    for (size_t c = 0; c < static_cast<size_t>(layer.geometry.out_channels); ++c) {
      secrets.s.push_back(challenge->tables().s[LaneOf(c)]);
      EXPECT_LT(secrets.s.back(), field::kPrime);
    }
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    Answer a = Accumulators(layer, q);
    const InputSum input = SumOfInput(*challenge, q, BestSumIsa());
    EXPECT_TRUE(challenge->Verify(SumOfAnswer(*challenge, secrets, a), input));
    a[random() % a.size()] += 1;
    EXPECT_FALSE(challenge->Verify(SumOfAnswer(*challenge, secrets, a), input));
  }
}

}  // namespace
}  // namespace shoji::enclave
