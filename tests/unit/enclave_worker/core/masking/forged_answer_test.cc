// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Masking and checking together, as an inference uses them: what an accelerator sends, unmasked and summed in one pass.
#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/masking/layer_codec.h"
#include "enclave_worker/core/verification/challenge_tables.h"
#include "tests/unit/enclave_worker/core/masking/masked_run.h"

namespace shoji::enclave {
namespace {

using kernels::ring::PaddedChannels;
using kernels::ring::WordBytes;
using quantization::LinearLayer;

// One layer's exchange with an honest accelerator.
struct Exchange {
  LinearLayer layer;
  std::unique_ptr<const LayerCodec> codec;
  std::unique_ptr<const Challenge> challenge;
  std::unique_ptr<const InputSum> input;
  std::vector<uint8_t> q;
  std::vector<uint8_t> answer;
  std::vector<uint8_t> pad;
};

// The secrets come from `random`, so that a run can be repeated.
std::unique_ptr<const Challenge> FixedChallenge(Random& random, const LinearLayer& layer) {
  std::vector<uint64_t> s;
  for (int64_t c = 0; c < layer.geometry.out_channels; ++c) {
    s.push_back(RandomElement(random));
  }
  return Challenge::FromSecrets(layer, s, 1 + RandomElement(random) / 2, 1 + RandomElement(random) / 2);
}

std::unique_ptr<Exchange> MakeExchange(Random& random, const LinearLayer& layer, CodecIsa isa) {
  auto exchange = std::make_unique<Exchange>();
  exchange->layer = layer;
  exchange->codec = std::make_unique<LayerCodec>(exchange->layer, isa);
  exchange->challenge = FixedChallenge(random, exchange->layer);
  exchange->q = MakeActivations(random, layer);
  exchange->input = std::make_unique<InputSum>(SumOfInput(*exchange->challenge, exchange->q));
  const PadKey key = TestKey(static_cast<uint8_t>(random()));
  exchange->answer = Answer(layer, MaskAll(*exchange->codec, key, 2, exchange->q));
  exchange->pad = Answer(layer, RandomAll(*exchange->codec, key, 2));
  return exchange;
}

bool Passes(const Exchange& exchange, const std::vector<uint8_t>& answer) {
  OutputSum output(*exchange.challenge);
  UnmaskAll(*exchange.codec, answer, exchange.pad, &output);
  return exchange.challenge->Verify(output, *exchange.input);
}

// The word of the i-th value of an answer, padding channels left out.
size_t OffsetOfValue(const LinearLayer& layer, size_t i) {
  const auto channels = static_cast<size_t>(layer.geometry.out_channels);
  return (i / channels * PaddedChannels(layer.geometry.out_channels) + i % channels) * WordBytes(layer.ring);
}
size_t NumValues(const LinearLayer& layer) {
  return static_cast<size_t>(layer.geometry.output[0] * layer.geometry.output[1] * layer.geometry.out_channels);
}
// Adds to a word, in the ring.
void AddTo(const LinearLayer& layer, std::vector<uint8_t>& answer, size_t value, uint32_t summand) {
  const size_t at = OffsetOfValue(layer, value);
  uint64_t carry = 0;
  for (size_t b = 0; b < WordBytes(layer.ring); ++b) {
    carry += uint64_t{answer[at + b]} + ((summand >> (8 * b)) & 0xFF);
    answer[at + b] = static_cast<uint8_t>(carry);
    carry >>= 8;
  }
}

TEST(ForgedAnswerTest, AnHonestAnswerAlwaysPasses) {
  Random random(1);
  for (int n = 0; n < 2000; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const auto exchange = MakeExchange(random, layer, n % 4 == 0 ? CodecIsa::kPortable : BestCodecIsa());
    ASSERT_TRUE(Passes(*exchange, exchange->answer)) << Describe(layer);
  }
}

TEST(ForgedAnswerTest, AnHonestAnswerInTheClearPassesAndAForgedOneDoesNot) {
  Random random(2);
  for (int n = 0; n < 300; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    for (const CodecIsa isa : CodecIsas()) {
      const auto exchange = MakeExchange(random, layer, isa);
      std::vector<uint8_t> answer = AnswerInClear(layer, exchange->q);
      exchange->pad.clear();
      ASSERT_TRUE(Passes(*exchange, answer)) << Describe(layer);
      AddTo(layer, answer, random() % NumValues(layer), 1);
      ASSERT_FALSE(Passes(*exchange, answer)) << Describe(layer);
    }
  }
}

// Every single bit of a whole answer.
TEST(ForgedAnswerTest, EveryFlippedBitIsCaught) {
  Random random(3);
  for (const int64_t out_channels : {3, 20, 80}) {
    for (const kernels::ring::Ring ring : {kernels::ring::Ring::k24, kernels::ring::Ring::k32}) {
      kernels::ConvGeometry g{
          .in_channels = 3, .out_channels = out_channels, .input = {3, 4}, .output = {}, .window = {}};
      g.window = {.kernel = {3, 3}, .pads = {1, 1, 1, 1}};
      LinearLayer layer = MakeLayer(random, g, 7);
      layer.ring = ring;
      const auto exchange = MakeExchange(random, layer, BestCodecIsa());
      for (size_t i = 0; i < NumValues(layer); ++i) {
        for (size_t bit = 0; bit < 8 * WordBytes(ring); ++bit) {
          std::vector<uint8_t> forged = exchange->answer;
          forged[OffsetOfValue(layer, i) + bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
          ASSERT_FALSE(Passes(*exchange, forged)) << "value " << i << " bit " << bit;
        }
      }
    }
  }
}

TEST(ForgedAnswerTest, ErrorsOfAnySizeAndCompensatingPairsAreCaught) {
  Random random(4);
  for (int n = 0; n < 300; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    for (const CodecIsa isa : CodecIsas()) {
      const auto exchange = MakeExchange(random, layer, isa);
      const size_t at = random() % NumValues(layer);
      const size_t other = (at + 1) % NumValues(layer);
      for (const uint32_t by : {1U, ~0U, 1U << 23, 1U << 24, 1U << 31}) {
        if ((by & kernels::ring::MaskOf(layer.ring)) == 0) {
          continue;  // nothing, in this ring
        }
        std::vector<uint8_t> forged = exchange->answer;
        AddTo(layer, forged, at, by);
        ASSERT_FALSE(Passes(*exchange, forged)) << by << " " << Describe(layer);
        if (other != at) {
          AddTo(layer, forged, other, 0 - by);
          ASSERT_FALSE(Passes(*exchange, forged)) << by << " and back, " << Describe(layer);
        }
      }
    }
  }
}

TEST(ForgedAnswerTest, RearrangedScaledAndForeignAnswersAreCaught) {
  Random random(5);
  for (int n = 0; n < 300; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const auto exchange = MakeExchange(random, layer, BestCodecIsa());
    const auto expect_caught = [&](const std::vector<uint8_t>& forged, const char* what) {
      ASSERT_EQ(Passes(*exchange, forged), forged == exchange->answer) << what << ": " << Describe(layer);
    };
    const size_t row = kernels::ring::WordRowBytes(layer.geometry, layer.ring);
    std::vector<uint8_t> forged = exchange->answer;
    std::rotate(forged.begin(), forged.begin() + static_cast<ptrdiff_t>(row), forged.end());
    expect_caught(forged, "rows in another order");
    std::reverse(forged.begin(), forged.end());
    if (PaddedChannels(layer.geometry.out_channels) == static_cast<size_t>(layer.geometry.out_channels)) {
      expect_caught(forged, "everything in another order");
    }
    expect_caught(std::vector<uint8_t>(forged.size(), 0), "zeros");
    expect_caught(exchange->pad, "the answer to the pad alone");
    expect_caught(MakeExchange(random, layer, BestCodecIsa())->answer, "another request's answer");
    forged = exchange->answer;
    for (size_t i = 0; i < NumValues(layer); ++i) {
      uint32_t word = 0;
      for (size_t b = 0; b < WordBytes(layer.ring); ++b) {
        word |= static_cast<uint32_t>(forged[OffsetOfValue(layer, i) + b]) << (8 * b);
      }
      AddTo(layer, forged, i, word);
    }
    expect_caught(forged, "twice the answer");
  }
}

// What an accelerator writes where no channel is does not reach the check.
TEST(ForgedAnswerTest, PaddingChannelsDoNotCount) {
  Random random(6);
  kernels::ConvGeometry g{.in_channels = 2, .out_channels = 5, .input = {2, 3}, .output = {}, .window = {}};
  const LinearLayer layer = MakeLayer(random, g, 0);
  for (const CodecIsa isa : CodecIsas()) {
    const auto exchange = MakeExchange(random, layer, isa);
    std::vector<uint8_t> answer = exchange->answer;
    for (size_t i = 0; i < answer.size(); i += WordBytes(layer.ring)) {
      if (i / WordBytes(layer.ring) % 8 >= 5) {
        answer[i] = 0xAB;
      }
    }
    EXPECT_NE(answer, exchange->answer);
    EXPECT_TRUE(Passes(*exchange, answer));
  }
}

TEST(ForgedAnswerTest, SumsOfRowsUnmaskedApartAddUpAcrossImplementations) {
  Random random(7);
  for (int n = 0; n < 300; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const auto exchange = MakeExchange(random, layer, BestCodecIsa());
    const LayerCodec portable(exchange->layer, CodecIsa::kPortable);
    OutputSum parts[2] = {OutputSum(*exchange->challenge), OutputSum(*exchange->challenge)};
    const size_t row = kernels::ring::WordRowBytes(layer.geometry, layer.ring);
    std::vector<uint8_t> q(kernels::ring::ActivationRowBytes(layer.geometry.output[1], layer.geometry.out_channels));
    for (int64_t h = 0; h < layer.geometry.output[0]; ++h) {
      const LayerCodec& codec = random() % 2 == 0 ? portable : *exchange->codec;
      const auto at = static_cast<size_t>(h) * row;
      codec.UnmaskRow({.words = std::span(exchange->answer).subspan(at, row),
                       .pad_words = std::span(exchange->pad).subspan(at, row)},
                      h, &parts[random() % 2], q);
    }
    parts[0].Add(parts[1]);
    ASSERT_TRUE(exchange->challenge->Verify(parts[0], *exchange->input)) << Describe(layer);
  }
}

// Long rows and many channels: the lanes are normalized on the way, and still hold the true sum.
TEST(ForgedAnswerTest, LargeAnswersDoNotOverflowTheSums) {
  struct Size {
    int64_t out_channels, height, width;
  };
  Random random(8);
  for (const Size& size : {Size{4, 3, 5000}, Size{64, 40, 300}, Size{100, 30, 300}, Size{40000, 1, 3}}) {
    kernels::ConvGeometry g{.in_channels = 1,
                            .out_channels = size.out_channels,
                            .input = {size.height, size.width},
                            .output = {},
                            .window = {}};
    const LinearLayer layer = MakeLayer(random, g, 0);
    const std::vector<uint64_t> s(static_cast<size_t>(size.out_channels), quantization::kCheckPrime - 1);
    const auto challenge = Challenge::FromSecrets(layer, s, quantization::kCheckPrime - 1, 1);
    const std::vector<uint8_t> words(kernels::ring::WordsBytes(g = layer.geometry, layer.ring), 0xFF);
    OutputSum portable(*challenge);
    UnmaskAll(LayerCodec(layer, CodecIsa::kPortable), words, {}, &portable);
    OutputSum best(*challenge);
    UnmaskAll(LayerCodec(layer, BestCodecIsa()), words, {}, &best);
    EXPECT_EQ(portable.Value(), best.Value()) << Describe(layer);
  }
}

}  // namespace
}  // namespace shoji::enclave
