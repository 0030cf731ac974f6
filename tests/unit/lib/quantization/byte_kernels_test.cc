// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Every instruction set against plain loops, over sizes that fill no vector.

#include "lib/quantization/byte_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
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
    kernels_.requantize_words(words.data(), count, {kPeriod, offsets.data(), multipliers.data(), nullptr}, output,
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
  kernels_.requantize_words(words.data(), words.size(), {1, &offset, &half, nullptr}, {128, 0, 255}, actual.data());
  for (size_t i = 0; i < words.size(); ++i) {
    ASSERT_EQ(actual[i], Requantize(static_cast<int32_t>(words[i]), half, 128, 0, 255));
  }
}

TEST_P(ByteKernelsTest, AffineScalesAndShiftsEveryChannel) {
  const std::vector<uint8_t> x = RandomBytes(301);
  std::vector<float> multipliers;
  std::vector<float> shifts;
  for (int i = 0; i < 12; ++i) {
    multipliers.push_back(RandomFloat(-2, 2));
    shifts.push_back(RandomFloat(-50, 50));
  }
  const ByteOutput output = {100, 3, 240};
  std::vector<uint8_t> actual(x.size());
  kernels_.affine(x.data(), x.size(), 77, {12, nullptr, multipliers.data(), shifts.data()}, output, actual.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const float product = static_cast<float>(int{x[i]} - 77) * multipliers[i % 12];
    ASSERT_EQ(actual[i], Rounded(product + shifts[i % 12], output)) << i;
  }
}

TEST_P(ByteKernelsTest, LookUpReadsTheTable) {
  std::array<uint8_t, 256> table = {};
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<uint8_t>(i * 167 + 13);
  }
  for (const size_t count : {0U, 1U, 63U, 64U, 65U, 256U, 700U}) {
    std::vector<uint8_t> x = RandomBytes(count + 1);
    const std::vector<uint8_t> before = x;
    kernels_.look_up(x.data(), count, table.data(), x.data());  // in place
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(x[i], table[before[i]]) << i << " of " << count;
    }
    ASSERT_EQ(x[count], before[count]) << "wrote beyond the end";
  }
}

TEST_P(ByteKernelsTest, PairsAreWalkedByTheirStrides) {
  struct Case {
    std::string name;
    PairLoop loop;
  };
  for (const Case& c : {Case{"same shape", {1, 203, 0, 1, 0, 1}}, Case{"a channel", {5, 20, 20, 1, 0, 1}},
                        Case{"a pixel", {5, 20, 20, 1, 4, 0}}, Case{"a scalar", {5, 20, 20, 1, 0, 0}},
                        Case{"left a pixel", {5, 20, 4, 0, 20, 1}}, Case{"left a channel", {5, 20, 0, 1, 20, 1}},
                        Case{"both scalars", {5, 20, 0, 0, 0, 0}}}) {
    const std::vector<uint8_t> a = RandomBytes(256);
    const std::vector<uint8_t> b = RandomBytes(256);
    const PairFactors factors = {50, 190, 0.013F, 0.021F};
    const ByteOutput output = {120, 10, 245};
    std::vector<uint8_t> sums(c.loop.outer * c.loop.inner);
    std::vector<uint8_t> products(sums.size());
    kernels_.add(c.loop, factors, a.data(), b.data(), output, sums.data());
    kernels_.multiply(c.loop, factors, a.data(), b.data(), output, products.data());
    for (size_t i = 0; i < sums.size(); ++i) {
      const size_t row = i / c.loop.inner;
      const size_t at = i % c.loop.inner;
      const int left = int{a[row * c.loop.a_outer + at * c.loop.a_inner]} - 50;
      const int right = int{b[row * c.loop.b_outer + at * c.loop.b_inner]} - 190;
      const float left_term = static_cast<float>(left) * 0.013F;
      const float right_term = static_cast<float>(right) * 0.021F;
      ASSERT_EQ(sums[i], Rounded(left_term + right_term, output)) << c.name << " " << i;
      ASSERT_EQ(products[i], Rounded(static_cast<float>(left * right) * 0.013F, output)) << c.name << " " << i;
    }
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

TEST_P(ByteKernelsTest, AverageIsTheRoundedMean) {
  const std::vector<uint8_t> x = RandomBytes(11 * 24);
  std::vector<int32_t> sums(24, 5);
  kernels_.add_pixels(x.data(), 11, 24, sums.data());
  std::vector<uint8_t> y(24);
  const ByteOutput output = {9, 0, 255};
  kernels_.average(sums.data(), 24, 5 + 11 * 60, 0.05F, output, y.data());
  for (size_t c = 0; c < 24; ++c) {
    int sum = 0;
    for (size_t p = 0; p < 11; ++p) {
      sum += x[p * 24 + c] - 60;
    }
    ASSERT_EQ(y[c], Rounded(static_cast<float>(sum) * 0.05F, output)) << c;
  }
}

TEST_P(ByteKernelsTest, PlanesAreQuantizedAndComeBackWithinHalfAStep) {
  for (const size_t pixels : {1U, 5U, 64U, 150U}) {
    constexpr size_t kChannels = 5;
    constexpr size_t kPadded = 8;
    std::vector<float> x(kChannels * pixels);
    for (float& value : x) {
      value = RandomFloat(-1, 1.55F);
    }
    std::vector<uint8_t> bytes(pixels * kPadded);
    kernels_.quantize_planes(x.data(), pixels, kChannels, 100, 100, bytes.data());
    for (size_t p = 0; p < pixels; ++p) {
      for (size_t c = 0; c < kChannels; ++c) {
        ASSERT_EQ(bytes[p * kPadded + c], Rounded(x[c * pixels + p] * 100, {100, 0, 255}));
      }
    }
    std::vector<float> back(x.size());
    kernels_.dequantize_planes(bytes.data(), pixels, kChannels, 0.01F, 100, back.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(back[i], x[i], 0.00501F);
    }
  }
}

TEST_P(ByteKernelsTest, WhatIsNoByteIsClampedAndWhatIsNoNumberIsTheLeast) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-kInfinity, kInfinity, std::numeric_limits<float>::quiet_NaN(), 1e30F, -1e30F, 0};
  std::vector<uint8_t> y(x.size());
  kernels_.quantize_row(x.data(), x.size(), 1, 7, y.data());
  EXPECT_EQ(y, (std::vector<uint8_t>{0, 255, 0, 255, 0, 7}));
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, ByteKernelsTest, ::testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni),
                         [](const auto& isa) { return kernels::ring::NameOf(isa.param); });

}  // namespace
}  // namespace shoji::quantization
