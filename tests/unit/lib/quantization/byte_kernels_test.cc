// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Every instruction set against plain loops, over sizes that fill no vector.

#include "lib/quantization/byte_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "lib/kernels/ring/linear.h"
#include "lib/quantization/requantize.h"

namespace shoji::quantization {
namespace {

using kernels::ring::Isa;

uint8_t Rounded(float y, const ByteOutput& output) {
  const float bounded = std::isnan(y) ? -1e6F : std::min(std::max(y, -1e6F), 1e6F);
  const int rounded = static_cast<int>(std::nearbyint(bounded)) + output.zero_point;
  return static_cast<uint8_t>(std::min(std::max(rounded, int{output.min}), int{output.max}));
}

class ByteKernelsTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!kernels::ring::IsSupported(GetParam())) {
      GTEST_SKIP() << "this CPU cannot run " << kernels::ring::NameOf(GetParam());
    }
  }
  std::vector<uint8_t> RandomBytes(size_t count) {
    std::vector<uint8_t> out(count);
    for (uint8_t& byte : out) {
      byte = static_cast<uint8_t>(generator_());
    }
    return out;
  }
  std::vector<float> RandomFloats(size_t count, float low, float high) {
    std::vector<float> out(count);
    for (float& value : out) {
      value = RandomFloat(low, high);
    }
    return out;
  }
  float RandomFloat(float low, float high) { return std::uniform_real_distribution<float>(low, high)(generator_); }

  const ByteKernels& kernels_ = ByteKernelsFor(GetParam());
  std::mt19937 generator_{7};
};

TEST_P(ByteKernelsTest, RequantizeWordsIsRequantize) {
  for (const size_t count : {1U, 3U, 63U, 64U, 65U, 1000U}) {
    constexpr size_t kPeriod = 28;
    std::vector<uint32_t> words(count);
    for (uint32_t& word : words) {
      word = static_cast<uint32_t>(generator_());
    }
    std::vector<int32_t> offsets(kPeriod);
    std::vector<float> multipliers(kPeriod);
    for (size_t i = 0; i < kPeriod; ++i) {
      offsets[i] = static_cast<int32_t>(static_cast<uint32_t>(generator_()));
      // From sums that are all clamped to sums that are all near 0.
      multipliers[i] = std::ldexp(RandomFloat(0.5, 1), -static_cast<int>(i));
    }
    const ByteOutput output = {37, 20, 250};
    std::vector<uint8_t> actual(count);
    kernels_.requantize_words(words.data(), count, {kPeriod, offsets.data(), multipliers.data()}, output,
                              actual.data());
    for (size_t i = 0; i < count; ++i) {
      const auto sum = static_cast<int32_t>(words[i] + static_cast<uint32_t>(offsets[i % kPeriod]));
      ASSERT_EQ(actual[i], Requantize(sum, multipliers[i % kPeriod], 37, 20, 250)) << i << " of " << count;
    }
  }
}

TEST_P(ByteKernelsTest, RequantizeWordsRoundsEveryHalfToEven) {
  std::vector<uint32_t> words;
  for (int i = -300; i <= 300; ++i) {
    words.push_back(static_cast<uint32_t>(i));
  }
  const int32_t offset = 0;
  const float half = 0.5F;
  std::vector<uint8_t> actual(words.size());
  kernels_.requantize_words(words.data(), words.size(), {1, &offset, &half}, {128, 0, 255}, actual.data());
  for (size_t i = 0; i < words.size(); ++i) {
    ASSERT_EQ(actual[i], Requantize(static_cast<int32_t>(words[i]), half, 128, 0, 255));
  }
}

TEST_P(ByteKernelsTest, ScaleWordsIsTheFloatOutputOfALayer) {
  for (const size_t count : {1U, 27U, 28U, 300U}) {
    constexpr size_t kPeriod = 28;
    std::vector<uint32_t> words(count);
    for (uint32_t& word : words) {
      word = static_cast<uint32_t>(generator_());
    }
    std::vector<int32_t> offsets(kPeriod);
    std::vector<float> multipliers(kPeriod);
    for (size_t i = 0; i < kPeriod; ++i) {
      offsets[i] = static_cast<int32_t>(static_cast<uint32_t>(generator_()));
      multipliers[i] = RandomFloat(1e-6F, 1e-3F);
    }
    std::vector<float> actual(count);
    kernels_.scale_words(words.data(), count, {kPeriod, offsets.data(), multipliers.data()}, actual.data());
    for (size_t i = 0; i < count; ++i) {
      const auto sum = static_cast<int32_t>(words[i] + static_cast<uint32_t>(offsets[i % kPeriod]));
      ASSERT_EQ(actual[i], static_cast<float>(sum) * multipliers[i % kPeriod]) << i << " of " << count;
    }
  }
}

TEST_P(ByteKernelsTest, ArithmeticIsThatOfFloat32) {
  for (const size_t count : {1U, 15U, 64U, 301U}) {
    const std::vector<float> a = RandomFloats(count, -3, 3);
    const std::vector<float> b = RandomFloats(count, -3, 3);
    const std::vector<float> c = RandomFloats(count, -3, 3);
    std::vector<float> sum(count), difference(count), product(count), affine(count), leaky(count), clip(count),
        gate(count), total = c;
    kernels_.add(a.data(), b.data(), count, sum.data());
    kernels_.subtract(a.data(), b.data(), count, difference.data());
    kernels_.multiply(a.data(), b.data(), count, product.data());
    kernels_.affine(a.data(), count, b.data(), c.data(), affine.data());
    kernels_.leaky(a.data(), count, 0.1F, leaky.data());
    kernels_.clip(a.data(), count, -1, 2, clip.data());
    kernels_.hard_sigmoid(a.data(), count, 0.2F, 0.5F, gate.data());
    kernels_.accumulate(a.data(), count, total.data());
    for (size_t i = 0; i < count; ++i) {
      const float scaled = a[i] * b[i];
      const float line = a[i] * 0.2F;
      ASSERT_EQ(sum[i], a[i] + b[i]);
      ASSERT_EQ(difference[i], a[i] - b[i]);
      ASSERT_EQ(product[i], scaled);
      ASSERT_EQ(affine[i], scaled + c[i]) << "contracted";
      ASSERT_EQ(leaky[i], a[i] < 0 ? a[i] * 0.1F : a[i]);
      ASSERT_EQ(clip[i], std::min(std::max(a[i], -1.0F), 2.0F));
      ASSERT_EQ(gate[i], std::min(std::max(line + 0.5F, 0.0F), 1.0F));
      ASSERT_EQ(total[i], c[i] + a[i]);
    }
  }
}

TEST_P(ByteKernelsTest, SigmoidIsGoodToTheLastPlacesAndTheSameEverywhere) {
  std::vector<float> x;
  for (int i = -4000; i <= 4000; ++i) {
    x.push_back(static_cast<float>(i) * 0.025F);
  }
  std::vector<float> y(x.size());
  std::vector<float> portable(x.size());
  kernels_.sigmoid(x.data(), x.size(), 1, y.data());
  ByteKernelsFor(Isa::kPortable).sigmoid(x.data(), x.size(), 1, portable.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = 1 / (1 + std::exp(-static_cast<double>(x[i])));
    ASSERT_NEAR(y[i], exact, 3e-7 * exact + 1e-37) << x[i];
    ASSERT_EQ(y[i], portable[i]) << x[i];
  }
}

TEST_P(ByteKernelsTest, MaxPoolTakesTheLargestCellOfEachWindow) {
  PoolLoop loop;
  loop.input[0] = 7;
  loop.input[1] = 9;
  loop.output[0] = 4;
  loop.output[1] = 3;
  loop.kernel[0] = 3;
  loop.kernel[1] = 2;
  loop.strides[0] = 2;
  loop.strides[1] = 3;
  loop.dilations[1] = 2;
  loop.pads[0] = 1;
  loop.pads[1] = 1;
  loop.channels = 20;
  const std::vector<uint8_t> x = RandomBytes(7 * 9 * 20);
  std::vector<uint8_t> y(4 * 3 * 20, 99);
  kernels_.max_pool(loop, 0, 4, x.data(), y.data());
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 3; ++column) {
      for (int c = 0; c < 20; ++c) {
        uint8_t most = 0;
        for (int i = 0; i < 3; ++i) {
          for (int j = 0; j < 2; ++j) {
            const int r = row * 2 - 1 + i;
            const int k = column * 3 - 1 + j * 2;
            if (r >= 0 && r < 7 && k >= 0 && k < 9) {
              most = std::max(most, x[static_cast<size_t>((r * 9 + k) * 20 + c)]);
            }
          }
        }
        ASSERT_EQ(y[static_cast<size_t>((row * 3 + column) * 20 + c)], most) << row << " " << column << " " << c;
      }
    }
  }
}

TEST_P(ByteKernelsTest, BytesAreWidenedAndComeBack) {
  for (const size_t count : {1U, 63U, 64U, 257U}) {
    const std::vector<uint8_t> x = RandomBytes(count);
    std::vector<float> scale = RandomFloats(count, 0.01F, 2);
    std::vector<float> inverse;
    for (const float s : scale) {
      inverse.push_back(1 / s);
    }
    std::vector<float> wide(count);
    std::vector<uint8_t> back(count);
    kernels_.widen(x.data(), count, scale.data(), 77, wide.data());
    kernels_.narrow(wide.data(), count, inverse.data(), {77, 20, 200}, back.data());
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(wide[i], static_cast<float>(int{x[i]} - 77) * scale[i]);
      ASSERT_EQ(back[i], std::clamp<uint8_t>(x[i], 20, 200));
    }
  }
}

TEST_P(ByteKernelsTest, PlanesAreQuantizedAndComeBackWithinHalfAStep) {
  for (const size_t pixels : {1U, 5U, 64U, 150U}) {
    constexpr size_t kChannels = 5;
    constexpr size_t kPadded = 8;
    const std::vector<float> x = RandomFloats(kChannels * pixels, -1, 1.55F);
    const std::vector<float> inverse = {100, 80, 60, 100, 90};
    std::vector<float> scale;
    for (const float step : inverse) {
      scale.push_back(1 / step);
    }
    std::vector<uint8_t> bytes(pixels * kPadded);
    kernels_.quantize_planes(x.data(), pixels, kChannels, inverse.data(), 100, bytes.data());
    for (size_t p = 0; p < pixels; ++p) {
      for (size_t c = 0; c < kChannels; ++c) {
        ASSERT_EQ(bytes[p * kPadded + c], Rounded(x[c * pixels + p] * inverse[c], {100, 0, 255}));
      }
    }
    std::vector<float> back(x.size());
    kernels_.dequantize_planes(bytes.data(), pixels, kChannels, scale.data(), 100, back.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(back[i], x[i], 0.501F * scale[i / pixels]);
    }
  }
}

TEST_P(ByteKernelsTest, WhatIsNoByteIsClampedAndWhatIsNoNumberIsTheLeast) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-kInfinity, kInfinity, std::numeric_limits<float>::quiet_NaN(), 1e30F, -1e30F, 0};
  const std::vector<float> ones(x.size(), 1);
  std::vector<uint8_t> y(x.size());
  kernels_.narrow(x.data(), x.size(), ones.data(), {7, 0, 255}, y.data());
  EXPECT_EQ(y, (std::vector<uint8_t>{0, 255, 0, 255, 0, 7}));
}

TEST_P(ByteKernelsTest, WeightsAreRoundedInDoubleWithTheScalesOfTheirInputs) {
  constexpr double kFactor = -0.3;
  for (const size_t count : {1U, 7U, 8U, 65U, 1000U}) {
    const std::vector<float> x = RandomFloats(count, -3, 3);
    const std::vector<float> scales = RandomFloats(count, 0.1F, 1);
    for (const bool with_scales : {false, true}) {
      const float* const given = with_scales ? scales.data() : nullptr;
      std::vector<double> expected;
      double largest = 0;
      for (size_t i = 0; i < count; ++i) {
        expected.push_back(static_cast<double>(x[i]) * kFactor * (with_scales ? static_cast<double>(scales[i]) : 1));
        largest = std::max(largest, std::abs(expected.back()));
      }
      EXPECT_EQ(kernels_.largest_weight(x.data(), given, count, kFactor), largest);
      const double step = largest / 100;
      std::vector<int8_t> rounded(count);
      kernels_.round_weights(x.data(), given, count, {kFactor, step}, rounded.data());
      WeightSums sums;
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(rounded[i], static_cast<int8_t>(std::nearbyint(expected[i] / step))) << i << " of " << count;
        (rounded[i] < 0 ? sums.negative : sums.positive) += rounded[i];
      }
      const WeightSums actual = kernels_.sum_weights(rounded.data(), count);
      EXPECT_EQ(actual.positive, sums.positive);
      EXPECT_EQ(actual.negative, sums.negative);
    }
  }
}

TEST_P(ByteKernelsTest, HalvesOfAWeightGoToTheEvenNeighbourAndLargeOnesAreClamped) {
  const std::vector<float> x = {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 126.5F, 127.5F, -200, 1e30F};
  std::vector<int8_t> rounded(x.size());
  kernels_.round_weights(x.data(), nullptr, x.size(), {1, 1}, rounded.data());
  EXPECT_EQ(rounded, (std::vector<int8_t>{0, 2, 2, 0, -2, 126, 127, -127, 127}));
}

TEST_P(ByteKernelsTest, AWeightThatIsNotFiniteIsLargerThanAllOthers) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> ones(9, 1);
  for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> x(9, 3e38F);
    x[4] = bad;
    EXPECT_FALSE(std::isfinite(kernels_.largest_weight(x.data(), nullptr, x.size(), 1)));
    EXPECT_FALSE(std::isfinite(kernels_.largest_weight(x.data(), ones.data(), x.size(), 1)));
  }
  const float zero = 0;
  EXPECT_FALSE(std::isfinite(kernels_.largest_weight(&zero, nullptr, 1, std::numeric_limits<double>::infinity())));
}

TEST_P(ByteKernelsTest, ManyLargeWeightsAreSummedExactly) {
  std::vector<int8_t> weights(300'001, 127);
  std::fill(weights.begin() + 100'000, weights.end(), int8_t{-127});
  const WeightSums sums = kernels_.sum_weights(weights.data(), weights.size());
  EXPECT_EQ(sums.positive, 100'000 * 127);
  EXPECT_EQ(sums.negative, -200'001 * 127);
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, ByteKernelsTest, ::testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni),
                         [](const auto& isa) { return kernels::ring::NameOf(isa.param); });

}  // namespace
}  // namespace shoji::quantization
