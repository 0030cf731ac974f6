// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/masking/layer_codec.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "lib/quantization/requantize.h"
#include "tests/unit/enclave_worker/core/masking/masked_run.h"

namespace shoji::enclave {
namespace {

using kernels::ring::MaskOf;
using quantization::LinearLayer;

TEST(LayerCodecTest, MaskedMinusPadIsTheCentredInput) {
  Random random(1);
  for (int n = 0; n < 300; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const LayerCodec codec(layer, BestCodecIsa());
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const PadKey key = PadKey::Draw();
    const std::vector<uint8_t> masked = MaskAll(codec, key, 5, q);
    const std::vector<uint8_t> pad = RandomAll(codec, key, 5);
    const kernels::ConvGeometry& g = layer.geometry;
    for (int64_t h = 0; h < g.input[0]; ++h) {
      for (int64_t w = 0; w < g.input[1]; ++w) {
        for (int64_t c = 0; c < g.in_channels; ++c) {
          const auto at =
              static_cast<size_t>(w) * kernels::ring::PaddedChannels(g.in_channels) + static_cast<size_t>(c);
          const uint32_t difference = ElementAt(layer, masked, c, h, w) - ElementAt(layer, pad, c, h, w);
          const uint32_t centred = uint32_t{RowOfActivations(layer, q, h)[at]} - layer.input_zero_point;
          ASSERT_EQ(difference & MaskOf(layer.ring), centred & MaskOf(layer.ring)) << Describe(layer);
        }
      }
    }
  }
}

TEST(LayerCodecTest, EveryImplementationMasksTheSame) {
  Random random(2);
  for (int n = 0; n < 300; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const LayerCodec portable(layer, CodecIsa::kPortable);
    const std::vector<uint8_t> expected = MaskAll(portable, TestKey(3, KeystreamKind::kOpenSsl), 9, q);
    for (const CodecIsa isa : CodecIsas()) {
      for (const KeystreamKind kind : KeystreamKinds()) {
        ASSERT_EQ(MaskAll(LayerCodec(layer, isa), TestKey(3, kind), 9, q), expected) << Describe(layer);
      }
    }
  }
}

// Bytes of the keystream that make every carry and borrow there is, through every limb.
TEST(LayerCodecTest, CarriesRunThroughAllLimbs) {
  Random random(3);
  for (const kernels::ring::Ring ring : {kernels::ring::Ring::k24, kernels::ring::Ring::k32}) {
    kernels::ConvGeometry g{.in_channels = 64, .out_channels = 1, .input = {1, 4096}, .output = {}, .window = {}};
    LinearLayer layer = MakeLayer(random, g, 128);
    layer.ring = ring;
    const std::vector<uint8_t> q = RandomBytes(random, kernels::ring::ActivationRowBytes(4096, 64));
    // 2^18 random words hold every pattern of two limbs at 0 or 255 that a carry meets; what matters is that some did.
    size_t num_long_carries = 0;
    for (const CodecIsa isa : CodecIsas()) {
      const LayerCodec codec(layer, isa);
      const std::vector<uint8_t> masked = MaskAll(codec, TestKey(1), 0, q);
      const std::vector<uint8_t> pad = RandomAll(codec, TestKey(1), 0);
      for (size_t i = 0; i < q.size(); ++i) {
        const auto w = static_cast<int64_t>(i / 64);
        const auto c = static_cast<int64_t>(i % 64);
        const uint32_t u = ElementAt(layer, masked, c, 0, w);
        const uint32_t r = ElementAt(layer, pad, c, 0, w);
        ASSERT_EQ(u, (r + q[i] - 128) & MaskOf(ring));
        num_long_carries += (u >> 16) != (r >> 16) ? 1 : 0;
      }
    }
    EXPECT_GT(num_long_carries, 100U);
  }
}

// Blinded, verified and computed in the clear: the same bits, in every implementation.
TEST(LayerCodecTest, UnmaskedAnswersAreExactlyTheQuantizedLayer) {
  Random random(4);
  for (int n = 0; n < 600; ++n) {
    LinearLayer layer = MakeRandomLayer(random);
    layer.quantized_output = n % 4 != 0;
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const Unmasked expected = Requantized(layer, Accumulators(layer, q));
    const PadKey key = TestKey(static_cast<uint8_t>(n));
    const LayerCodec any(layer, CodecIsa::kPortable);
    const std::vector<uint8_t> answer = Answer(layer, MaskAll(any, key, 1, q));
    const std::vector<uint8_t> pad = Answer(layer, RandomAll(any, key, 1));
    const std::vector<uint8_t> clear = AnswerInClear(layer, q);
    for (const CodecIsa isa : CodecIsas()) {
      const LayerCodec codec(layer, isa);
      ASSERT_TRUE(SameActivations(layer, UnmaskAll(codec, answer, pad, nullptr), expected)) << Describe(layer);
      ASSERT_TRUE(SameActivations(layer, UnmaskAll(codec, clear, {}, nullptr), expected)) << Describe(layer);
    }
  }
}

TEST(LayerCodecTest, ALayerWhoseSumWithItsBiasLeaves32BitsIsExact) {
  Random random(5);
  for (int n = 0; n < 200; ++n) {
    LinearLayer layer = MakeRandomLayer(random);
    layer.quantized_output = n % 2 == 0;
    for (int64_t& bias : layer.bias) {
      bias = Between(random, -(int64_t{1} << 40) + 1, (int64_t{1} << 40) - 1);
    }
    for (float& multiplier : layer.multiplier) {
      multiplier = 1e-10F;
    }
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const Unmasked expected = Requantized(layer, Accumulators(layer, q));
    for (const CodecIsa isa : CodecIsas()) {
      const LayerCodec codec(layer, isa);
      const std::vector<uint8_t> answer = Answer(layer, MaskAll(codec, TestKey(1), 0, q));
      const std::vector<uint8_t> pad = Answer(layer, RandomAll(codec, TestKey(1), 0));
      ASSERT_TRUE(SameActivations(layer, UnmaskAll(codec, answer, pad, nullptr), expected)) << Describe(layer);
    }
  }
}

// One channel, weight 1, zero point 0: a is the word itself.
LinearLayer Identity(Random& random, int64_t width, float multiplier) {
  kernels::ConvGeometry g{.in_channels = 1, .out_channels = 1, .input = {1, width}, .output = {}, .window = {}};
  LinearLayer layer = MakeLayer(random, g, 0);
  layer.weights = {1};
  layer.ring = kernels::ring::Ring::k32;
  layer.bias = {0};
  layer.multiplier = {multiplier};
  layer.output_zero_point = 100;
  layer.output_min = 3;
  layer.output_max = 250;
  return layer;
}

TEST(LayerCodecTest, RoundingIsHalfToEvenAndSaturatesAtEverySize) {
  Random random(6);
  for (const float multiplier : {0.5F, 0.25F, 1.0F, 1.5F, 1e-3F, 0.4999F, 1e30F}) {
    std::vector<int64_t> values;
    for (int64_t v = -700; v <= 700; ++v) {
      values.push_back(v);
    }
    for (const int64_t v : {int64_t{std::numeric_limits<int32_t>::min()}, int64_t{std::numeric_limits<int32_t>::max()},
                            int64_t{16777217}, int64_t{-16777219}, int64_t{2147483583}, int64_t{33554433}}) {
      values.push_back(v);
    }
    LinearLayer layer = Identity(random, static_cast<int64_t>(values.size()), multiplier);
    layer.lo = {std::numeric_limits<int32_t>::min()};
    layer.hi = {std::numeric_limits<int32_t>::max()};
    std::vector<uint8_t> words;
    for (const int64_t value : values) {
      for (size_t b = 0; b < 16; ++b) {  // four channels; three are padding
        words.push_back(b < 4 ? static_cast<uint8_t>(value >> (8 * b)) : uint8_t{0});
      }
    }
    for (const CodecIsa isa : CodecIsas()) {
      const Unmasked out = UnmaskAll(LayerCodec(layer, isa), words, {}, nullptr);
      ASSERT_TRUE(SameActivations(layer, out, Requantized(layer, values))) << multiplier;
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(out.q[4 * i], quantization::Requantize(values[i], multiplier, layer.output_zero_point,
                                                         layer.output_min, layer.output_max));
      }
    }
  }
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](float x, float y) { return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y); });
}

// Whatever a hostile accelerator sends, the implementations do the same with it and stay inside their spans.
TEST(LayerCodecTest, AnyWordsGiveTheSameBitsInEveryImplementation) {
  Random random(7);
  for (int n = 0; n < 300; ++n) {
    LinearLayer layer = MakeRandomLayer(random);
    layer.quantized_output = n % 2 == 0;
    const size_t size = kernels::ring::WordsBytes(layer.geometry, layer.ring);
    const std::vector<uint8_t> words = RandomBytes(random, size);
    const std::vector<uint8_t> pad = n % 3 == 0 ? std::vector<uint8_t>() : RandomBytes(random, size);
    const auto challenge = Challenge::Draw(layer);
    OutputSum first_sum(*challenge);
    const Unmasked first = UnmaskAll(LayerCodec(layer, CodecIsa::kPortable), words, pad, &first_sum);
    for (const CodecIsa isa : CodecIsas()) {
      OutputSum sum(*challenge);
      const Unmasked out = UnmaskAll(LayerCodec(layer, isa), words, pad, &sum);
      ASSERT_EQ(out.q, first.q) << Describe(layer);
      ASSERT_TRUE(SameBits(out.y, first.y)) << Describe(layer);
      ASSERT_EQ(sum.Value(), first_sum.Value()) << Describe(layer);
    }
  }
}

TEST(LayerCodecTest, AClearRowIsTheActivationsWithZerosInAllPadding) {
  Random random(8);
  for (int n = 0; n < 50; ++n) {
    const LinearLayer layer = MakeRandomLayer(random);
    const LayerCodec codec(layer, BestCodecIsa());
    const std::vector<uint8_t> q = MakeActivations(random, layer);
    const std::span<const uint8_t> row = RowOfActivations(layer, q, 0);
    std::vector<uint8_t> out(kernels::ring::LimbRowBytes(layer.geometry, 1), 99);
    codec.ClearRow(row, out);
    const auto channels = static_cast<size_t>(layer.geometry.in_channels);
    const size_t padded = kernels::ring::PaddedChannels(layer.geometry.in_channels);
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i], i < row.size() && i % padded < channels ? row[i] : 0) << Describe(layer);
    }
  }
}

TEST(LayerCodecDeathTest, RowsOfTheWrongSizeAbort) {
  Random random(9);
  const LinearLayer layer = MakeRandomLayer(random);
  const LayerCodec codec(layer, BestCodecIsa());
  const PadKey key = TestKey(1);
  const std::vector<uint8_t> q = MakeActivations(random, layer);
  const std::span<const uint8_t> row = RowOfActivations(layer, q, 0);
  std::vector<uint8_t> limbs(kernels::ring::LimbRowBytes(layer.geometry, kernels::ring::WordBytes(layer.ring)));
  codec.MaskRow(key, 0, 0, row, limbs);
  EXPECT_DEATH(codec.MaskRow(key, 0, layer.geometry.input[0], row, limbs), "check failed");
  EXPECT_DEATH(codec.MaskRow(key, 0, 0, row.first(row.size() - 1), limbs), "check failed");
  EXPECT_DEATH(codec.MaskRow(key, 0, 0, row, std::span(limbs).first(limbs.size() - 64)), "check failed");
  const std::vector<uint8_t> words(kernels::ring::WordRowBytes(layer.geometry, layer.ring) - 1);
  std::vector<uint8_t> out(kernels::ring::ActivationRowBytes(layer.geometry.output[1], layer.geometry.out_channels));
  EXPECT_DEATH(codec.UnmaskRow({.words = words, .pad_words = {}}, 0, nullptr, out), "check failed");
}

}  // namespace
}  // namespace shoji::enclave
