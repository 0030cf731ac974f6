// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/enclave_worker/core/masking/uniformity.h"

#include <cstring>
#include <functional>
#include <span>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "enclave_worker/core/masking/layer_codec.h"
#include "tests/unit/enclave_worker/core/masking/masked_run.h"

namespace shoji::enclave {
namespace {

using kernels::ring::Ring;
using quantization::LinearLayer;

// A true generator fails by chance once in so many; a mask that is not uniform fails always.
constexpr double kReject = 1e-6;

// The long set compiles this file with more.
#ifndef SHOJI_NUM_MASKED_WORDS
#define SHOJI_NUM_MASKED_WORDS 10'000'000
#endif

// Values from tables and from R's pchisq.
TEST(ChiSquareTest, TailsAgreeWithTables) {
  EXPECT_NEAR(ChiSquareTail(3.841459, 1), 0.05, 1e-7);
  EXPECT_NEAR(ChiSquareTail(18.30704, 10), 0.05, 1e-6);
  EXPECT_NEAR(ChiSquareTail(2 * 2.302585093, 2), 0.1, 1e-9);
  EXPECT_NEAR(ChiSquareTail(293.2478, 255), 0.05, 1e-5);
  EXPECT_NEAR(ChiSquareTail(0, 255), 1, 1e-12);
  EXPECT_LT(ChiSquareTail(400, 255), 1e-7);
}

TEST(ChiSquareTest, ASlightBiasIsSeen) {
  std::vector<uint64_t> counts(256, 40000);
  EXPECT_NEAR(UniformityPValue(counts), 1, 1e-9);
  for (size_t i = 0; i < counts.size(); ++i) {
    counts[i] += i % 2 == 0 ? 600U : 0U;  // 1.5 % more of every other value
  }
  EXPECT_LT(UniformityPValue(counts), kReject);
}

class UniformityTest : public testing::TestWithParam<std::tuple<Ring, int>> {};

TEST_P(UniformityTest, MaskedWordsOfAConstantAreUniformInEveryByteAndInTheirTopBits) {
  const auto [ring, constant] = GetParam();
  for (const double p : PValuesOfMaskedWords(ring, static_cast<uint8_t>(constant), SHOJI_NUM_MASKED_WORDS)) {
    EXPECT_GT(p, kReject);
  }
}

INSTANTIATE_TEST_SUITE_P(Constants, UniformityTest,
                         testing::Combine(testing::Values(Ring::k24, Ring::k32), testing::Values(0, 255)));

// A distinguisher between a dark and a bright picture, at the accelerator: it sees 131,072 masked values as limbs, in
// the ring of 24 bits. Where masks leave out the upper fifth of the ring, as in Slalom's code, a masked value can lie a
// little above the largest mask only if the picture is bright there, and close to 0 only if it is dark there.
constexpr int64_t kWidth = 512;
constexpr int64_t kChannels = 256;
constexpr size_t kNumValues = kWidth * kChannels;
constexpr uint32_t kPartOfRing = (1U << 24) / 10 * 8;
constexpr uint8_t kMaxDark = 40;
constexpr uint8_t kMinBright = 215;
constexpr int kNumTrials = 10000;

enum class Picture : uint8_t { kDark, kBright };

Picture Guess(std::span<const uint8_t> limbs) {
  size_t num_high = 0;
  size_t num_low = 0;
  for (size_t i = 0; i < kNumValues; ++i) {
    const uint32_t u = limbs[i] | static_cast<uint32_t>(limbs[kNumValues + i]) << 8 |
                       static_cast<uint32_t>(limbs[2 * kNumValues + i]) << 16;
    num_high += u - (kPartOfRing + kMaxDark) < 255 - kMaxDark ? 1 : 0;
    num_low += u < kMinBright ? 1 : 0;
  }
  if (num_high == num_low) {
    return limbs[0] % 2 == 0 ? Picture::kDark : Picture::kBright;
  }
  return num_high > num_low ? Picture::kBright : Picture::kDark;
}

// How often the guess is right, when `mask` hides the pictures.
double Score(const std::function<void(std::span<const uint8_t> q, std::span<uint8_t> limbs)>& mask) {
  Random random(11);
  std::vector<uint8_t> dark(kNumValues);
  std::vector<uint8_t> bright(kNumValues);
  for (size_t i = 0; i < kNumValues; ++i) {
    dark[i] = static_cast<uint8_t>(Between(random, 0, kMaxDark));
    bright[i] = static_cast<uint8_t>(Between(random, kMinBright, 255));
  }
  std::vector<uint8_t> limbs(3 * kNumValues);
  int num_right = 0;
  for (int i = 0; i < kNumTrials; ++i) {
    const Picture picture = random() % 2 == 0 ? Picture::kDark : Picture::kBright;
    mask(picture == Picture::kDark ? dark : bright, limbs);
    num_right += Guess(limbs) == picture ? 1 : 0;
  }
  return static_cast<double>(num_right) / kNumTrials;
}

TEST(DistinguisherTest, CannotTellDarkFromBrightUnderOurMasks) {
  Random random(12);
  kernels::ConvGeometry g{
      .in_channels = kChannels, .out_channels = 1, .input = {1, kWidth}, .output = {}, .window = {}};
  LinearLayer layer = MakeLayer(random, g, 0);
  layer.ring = Ring::k24;
  const LayerCodec codec(layer, BestCodecIsa());
  const double score = Score([&codec](std::span<const uint8_t> q, std::span<uint8_t> limbs) {
    codec.MaskRow(PadKey::Draw(), 0, 0, q, limbs);
  });
  EXPECT_NEAR(score, 0.5, 0.02);
}

TEST(DistinguisherTest, CanTellDarkFromBrightUnderMasksFromFourFifthsOfTheRing) {
  std::vector<uint8_t> stream(4 * kNumValues);
  const double score = Score([&stream](std::span<const uint8_t> q, std::span<uint8_t> limbs) {
    PadKey::Draw().Generate(0, 0, stream);
    for (size_t i = 0; i < kNumValues; ++i) {
      uint32_t random = 0;
      std::memcpy(&random, stream.data() + 4 * i, sizeof(random));
      const auto u = static_cast<uint32_t>((uint64_t{random} * kPartOfRing) >> 32) + q[i];
      limbs[i] = static_cast<uint8_t>(u);
      limbs[kNumValues + i] = static_cast<uint8_t>(u >> 8);
      limbs[2 * kNumValues + i] = static_cast<uint8_t>(u >> 16);
    }
  });
  EXPECT_GT(score, 0.85);
}

}  // namespace
}  // namespace shoji::enclave
