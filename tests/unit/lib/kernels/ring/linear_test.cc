// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/ring/linear.h"

#include <algorithm>
#include <array>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/kernels/ring/guarded_bytes.h"
#include "tests/unit/lib/kernels/ring/ring_layers.h"

namespace shoji::kernels::ring {
namespace {

constexpr Window kSame3x3 = {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}};

struct Form {
  size_t num_limbs;
  Ring ring;
  uint8_t padding;
};
constexpr std::array<Form, 6> kForms = {{{1, Ring::k32, 0},
                                         {1, Ring::k24, 0},
                                         {1, Ring::k32, 200},
                                         {1, Ring::k24, 255},
                                         {3, Ring::k24, 0},
                                         {4, Ring::k32, 0}}};

class RingKernelTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!IsSupported(GetParam())) {
      GTEST_SKIP() << "this CPU cannot run " << NameOf(GetParam());
    }
  }

  std::unique_ptr<LinearKernel> Create(const RandomLayer& layer) const {
    auto kernel = LinearKernel::Create(layer.geometry, layer.weights, GetParam());
    EXPECT_TRUE(kernel.ok()) << kernel.status();
    return *std::move(kernel);
  }

  void ExpectExact(const ConvGeometry& geometry, unsigned seed) const {
    for (const Form& form : kForms) {
      const RandomLayer layer(geometry, form.num_limbs, seed);
      const LinearInput input = layer.input(form.padding);
      ASSERT_EQ(RunWhole(GetParam(), geometry, layer.weights, form.ring, input),
                Reference(geometry, layer.weights, form.ring, input))
          << Describe(geometry) << ", " << form.num_limbs << " limbs, 2^" << Bits(form.ring) << ", padding "
          << int{form.padding} << ", seed " << seed;
    }
  }
};

TEST_P(RingKernelTest, RandomShapesGiveTheExactSums) {
  std::mt19937 generator(20260101);
  for (unsigned i = 0; i < 150; ++i) {
    ExpectExact(RandomGeometry(generator), i);
    if (HasFatalFailure()) {
      return;
    }
  }
}

TEST_P(RingKernelTest, SeveralInputsTogetherGiveTheSumsOfEach) {
  std::mt19937 generator(20260707);
  std::vector<ConvGeometry> geometries = {MakeGeometry(513, 200, 1, {1, 1}),
                                          MakeGeometry(96, 130, 1, {7, 7}, kSame3x3)};
  for (int i = 0; i < 30; ++i) {
    geometries.push_back(RandomGeometry(generator));
  }
  for (const ConvGeometry& geometry : geometries) {
    for (const Form& form : kForms) {
      const std::array<RandomLayer, 3> layers = {RandomLayer(geometry, form.num_limbs, 1),
                                                 RandomLayer(geometry, form.num_limbs, 2),
                                                 RandomLayer(geometry, form.num_limbs, 3)};
      const std::unique_ptr<LinearKernel> kernel = Create(layers[0]);
      std::vector<std::vector<uint8_t>> words(3, std::vector<uint8_t>(WordsBytes(geometry, form.ring), 0xA5));
      std::vector<std::vector<uint8_t>> scratch(3, std::vector<uint8_t>(kernel->scratch_bytes(form.num_limbs), 0xA5));
      std::vector<LinearKernel::BatchRun> runs;
      for (size_t i = 0; i < 3; ++i) {
        runs.push_back({layers[i].input(form.padding), words[i], scratch[i]});
      }
      kernel->RunBatch(form.ring, runs);
      for (size_t i = 0; i < 3; ++i) {
        ASSERT_EQ(words[i], Reference(geometry, layers[0].weights, form.ring, layers[i].input(form.padding)))
            << Describe(geometry) << ", input " << i;
      }
    }
  }
}

TEST_P(RingKernelTest, EveryTileWidthGivesTheExactSums) {
  for (int64_t width = 1; width <= 30; ++width) {
    ExpectExact(MakeGeometry(4, 68, 1, {2, width}, kSame3x3), static_cast<unsigned>(width));
  }
}

TEST_P(RingKernelTest, EveryNumberOfChannelsGivesTheExactSums) {
  for (int64_t channels = 1; channels <= 70; ++channels) {
    ExpectExact(MakeGeometry(channels, 71 - channels, 1, {1, 3}), static_cast<unsigned>(channels));
    ExpectExact(MakeGeometry(channels, channels, channels, {3, 5}, kSame3x3), static_cast<unsigned>(channels));
  }
}

TEST_P(RingKernelTest, LayersOfKnownNetworksGiveTheExactSums) {
  const Window seven = {{7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}};
  ExpectExact(MakeGeometry(3, 64, 1, {30, 30}, seven), 1);                                     // ResNet's stem
  ExpectExact(MakeGeometry(64, 64, 1, {14, 14}, kSame3x3), 2);                                 // VGG
  ExpectExact(MakeGeometry(256, 64, 1, {7, 7}), 3);                                            // bottleneck
  ExpectExact(MakeGeometry(64, 128, 1, {8, 8}, {{1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}}), 4);    // shortcut
  ExpectExact(MakeGeometry(64, 64, 64, {14, 14}, {{3, 3}, {2, 2}, {1, 1}, {0, 0, 1, 1}}), 5);  // MobileNet
  ExpectExact(MakeGeometry(64, 64, 16, {7, 7}, kSame3x3), 6);                                  // ResNeXt
  ExpectExact(MakeGeometry(40, 20, 1, {15, 15}, {{3, 3}, {1, 1}, {6, 6}, {6, 6, 6, 6}}), 7);   // atrous
  ExpectExact(MakeGeometry(2500, 100, 1, {1, 1}), 8);                                          // dense
  ExpectExact(MakeGeometry(48, 40, 1, {1, 197}), 9);                                           // MatMul
}

TEST_P(RingKernelTest, InputsLargerThanACacheBlockGiveTheExactSums) {
  ExpectExact(MakeGeometry(300, 5, 1, {40, 20}, kSame3x3), 1);        // blocks of rows
  ExpectExact(MakeGeometry(1000, 3, 1, {1, 700}), 2);                 // blocks of columns, read in place
  ExpectExact(MakeGeometry(900, 3, 1, {3, 90}, kSame3x3), 3);         // blocks of columns, copied
  ExpectExact(MakeGeometry(1500, 1500, 1500, {5, 60}, kSame3x3), 4);  // depthwise
}

TEST_P(RingKernelTest, PadsLargerThanTheInputGiveTheExactSums) {
  ExpectExact(MakeGeometry(2, 3, 1, {4, 5}, {{3, 3}, {5, 7}, {1, 1}, {9, 4, 8, 30}}), 1);
  ExpectExact(MakeGeometry(5, 5, 5, {2, 2}, {{2, 2}, {1, 1}, {1, 1}, {7, 8, 5, 6}}), 2);
  ExpectExact(MakeGeometry(3, 2, 1, {1, 1}, {{1, 1}, {4, 4}, {1, 1}, {6, 6, 6, 6}}), 3);
  // Rows of padding only, beside which nothing is padded: the input is read in place.
  ExpectExact(MakeGeometry(8, 20, 1, {3, 9}, {{3, 1}, {1, 1}, {1, 1}, {4, 0, 4, 0}}), 4);
}

TEST_P(RingKernelTest, WeightsOfMinus128AreExact) {
  for (const int64_t group : {1, 12}) {
    const ConvGeometry g = MakeGeometry(12, 12, group, {5, 9}, kSame3x3);
    for (const Form& form : kForms) {
      RandomLayer layer(g, form.num_limbs, 3);
      std::fill(layer.weights.begin(), layer.weights.end(), int8_t{-128});
      std::fill(layer.limbs.begin(), layer.limbs.end(), uint8_t{255});
      const LinearInput input = layer.input(form.padding);
      EXPECT_EQ(RunWhole(GetParam(), g, layer.weights, form.ring, input),
                Reference(g, layer.weights, form.ring, input));
    }
  }
}

TEST_P(RingKernelTest, SumsWrapAroundAtTheRingsSize) {
  // 3 * 127 * (2^k - 1) and 3 * -128 * (2^k - 1), by hand: modulo 2^k these are -381 and 384.
  const ConvGeometry g = MakeGeometry(3, 2, 1, {1, 1});
  const std::vector<int8_t> weights = {127, 127, 127, -128, -128, -128};
  for (const Ring ring : {Ring::k24, Ring::k32}) {
    const std::vector<uint8_t> limbs(LimbBytes(g, WordBytes(ring)), 0xFF);
    const std::vector<uint8_t> words = RunWhole(GetParam(), g, weights, ring, {limbs, WordBytes(ring), 0});
    const std::vector<uint8_t> k24 = {0x83, 0xFE, 0xFF, 0x80, 0x01, 0x00, 0, 0, 0, 0, 0, 0};
    const std::vector<uint8_t> k32 = {0x83, 0xFE, 0xFF, 0xFF, 0x80, 0x01, 0x00, 0x00, 0, 0, 0, 0, 0, 0, 0, 0};
    EXPECT_EQ(words, ring == Ring::k24 ? k24 : k32);
  }
}

TEST_P(RingKernelTest, ElementsAroundTheBordersOfTheirHalvesAreExact) {
  constexpr std::array<uint32_t, 10> kElements = {0,       1,          0x7FFF,     0x8000,     0xFFFF,
                                                  0x10000, 0x7FFF7FFF, 0x7FFF8000, 0x80008000, 0xFFFFFFFF};
  const ConvGeometry g = MakeGeometry(4, 19, 1, {3, 13});
  for (const Form& form : kForms) {
    RandomLayer layer(g, form.num_limbs, 29);
    const size_t plane = PlaneBytes(g.input[1], g.in_channels);
    for (size_t i = 0; i < layer.limbs.size(); ++i) {
      const uint32_t element = kElements[i % plane % kElements.size()];
      layer.limbs[i] = static_cast<uint8_t>(element >> (8 * (i / plane % form.num_limbs)));
    }
    const LinearInput input = layer.input(form.padding);
    EXPECT_EQ(RunWhole(GetParam(), g, layer.weights, form.ring, input), Reference(g, layer.weights, form.ring, input));
  }
}

TEST_P(RingKernelTest, RowRangesGiveTheRowsOfTheWhole) {
  for (const ConvGeometry& g :
       {MakeGeometry(5, 35, 1, {11, 9}, kSame3x3), MakeGeometry(300, 5, 1, {17, 20}, kSame3x3),
        MakeGeometry(9, 9, 9, {11, 9}, {{3, 3}, {1, 2}, {2, 1}, {2, 1, 2, 1}}), MakeGeometry(8, 6, 2, {11, 9})}) {
    const RandomLayer layer(g, 3, 5);
    const auto kernel = Create(layer);
    const std::vector<uint8_t> whole = RunWhole(GetParam(), g, layer.weights, Ring::k24, layer.input());
    std::vector<uint8_t> scratch(kernel->scratch_bytes(3));
    const size_t row_bytes = WordRowBytes(g, Ring::k24);
    for (int64_t begin = 0; begin <= g.output[0]; ++begin) {
      for (int64_t end = begin; end <= g.output[0]; ++end) {
        std::vector<uint8_t> words(static_cast<size_t>(end - begin) * row_bytes, 0xEE);
        kernel->Run(Ring::k24, layer.input(), {begin, end}, words, scratch);
        const auto expected = std::span(whole).subspan(static_cast<size_t>(begin) * row_bytes, words.size());
        ASSERT_TRUE(std::equal(words.begin(), words.end(), expected.begin())) << Describe(g) << " " << begin;
      }
    }
  }
}

TEST_P(RingKernelTest, NothingOutsideTheSpansIsTouched) {
  std::mt19937 generator(77);
  std::vector<ConvGeometry> geometries = {MakeGeometry(3, 5, 1, {4, 15}, kSame3x3), MakeGeometry(64, 7, 1, {3, 16}),
                                          MakeGeometry(17, 17, 17, {4, 5}, kSame3x3), MakeGeometry(1, 1, 1, {1, 1})};
  for (int i = 0; i < 40; ++i) {
    geometries.push_back(RandomGeometry(generator));
  }
  for (const ConvGeometry& g : geometries) {
    for (const Form& form : kForms) {
      const RandomLayer layer(g, form.num_limbs, 11);
      const auto kernel = Create(layer);
      for (const GuardedBytes::At at : {GuardedBytes::At::kBegin, GuardedBytes::At::kEnd}) {
        // A page that cannot be touched lies right before, or right behind, each of them.
        GuardedBytes limbs(layer.limbs.size(), at);
        GuardedBytes words(WordsBytes(g, form.ring), at);
        GuardedBytes scratch(kernel->scratch_bytes(form.num_limbs), at);
        std::copy(layer.limbs.begin(), layer.limbs.end(), limbs.span().begin());
        kernel->Run(form.ring, {limbs.span(), form.num_limbs, form.padding}, {0, g.output[0]}, words.span(),
                    scratch.span());
        EXPECT_TRUE(limbs.SurroundingsAreUntouched() && words.SurroundingsAreUntouched() &&
                    scratch.SurroundingsAreUntouched())
            << Describe(g);
        EXPECT_TRUE(std::equal(layer.limbs.begin(), layer.limbs.end(), limbs.span().begin())) << Describe(g);
      }
    }
  }
}

TEST_P(RingKernelTest, WhatScratchMemoryHeldDoesNotMatter) {
  const ConvGeometry g = MakeGeometry(21, 21, 21, {9, 8}, kSame3x3);
  const RandomLayer layer(g, 4, 13);
  const auto kernel = Create(layer);
  std::vector<std::vector<uint8_t>> results;
  for (const uint8_t before : std::vector<uint8_t>{0, 1, 255}) {
    std::vector<uint8_t> words(WordsBytes(g, Ring::k32), before);
    std::vector<uint8_t> scratch(kernel->scratch_bytes(4), before);
    kernel->Run(Ring::k32, layer.input(), {0, g.output[0]}, words, scratch);
    results.push_back(words);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST_P(RingKernelTest, WhatLiesBetweenTheChannelsOfTheInputDoesNotMatter) {
  for (const int64_t group : {1, 5}) {
    const ConvGeometry g = MakeGeometry(5, 10, group, {4, 6}, kSame3x3);
    const RandomLayer layer(g, 4, 17);
    RandomLayer other = layer;
    for (size_t row = 0; row < other.limbs.size(); row += PlaneBytes(6, 5)) {
      for (size_t i = 0; i < PlaneBytes(6, 5); ++i) {
        const bool is_value = i < 6 * PaddedChannels(5) && i % PaddedChannels(5) < 5;
        other.limbs[row + i] = is_value ? other.limbs[row + i] : static_cast<uint8_t>(~other.limbs[row + i]);
      }
    }
    EXPECT_EQ(RunWhole(GetParam(), g, layer.weights, Ring::k32, layer.input()),
              RunWhole(GetParam(), g, layer.weights, Ring::k32, other.input()));
  }
}

TEST_P(RingKernelTest, OneKernelServesManyThreads) {
  const ConvGeometry g = MakeGeometry(16, 40, 1, {20, 20}, kSame3x3);
  const RandomLayer layer(g, 4, 19);
  const auto kernel = Create(layer);
  const std::vector<uint8_t> expected = Reference(g, layer.weights, Ring::k32, layer.input());
  std::array<std::vector<uint8_t>, 3> results;
  {
    std::vector<std::jthread> threads;
    for (std::vector<uint8_t>& words : results) {
      threads.emplace_back([&] {
        words.resize(expected.size());
        std::vector<uint8_t> scratch(kernel->scratch_bytes(4));
        for (int i = 0; i < 5; ++i) {
          kernel->Run(Ring::k32, layer.input(), {0, g.output[0]}, words, scratch);
        }
      });
    }
  }
  for (const std::vector<uint8_t>& words : results) {
    EXPECT_EQ(words, expected);
  }
}

TEST_P(RingKernelTest, WrongSizesAbort) {
  const ConvGeometry g = MakeGeometry(5, 6, 1, {4, 6}, kSame3x3);
  const RandomLayer layer(g, 4, 23);
  const auto kernel = Create(layer);
  std::vector<uint8_t> words(WordsBytes(g, Ring::k32));
  std::vector<uint8_t> scratch(kernel->scratch_bytes(4));
  const std::span<const uint8_t> limbs = layer.limbs;
  const auto run = [&](const LinearInput& input, RowRange rows, size_t words_size, size_t scratch_size) {
    kernel->Run(Ring::k32, input, rows, std::span(words).first(words_size), std::span(scratch).first(scratch_size));
  };
  run(layer.input(), {0, 4}, words.size(), scratch.size());
  EXPECT_DEATH(run({limbs.first(limbs.size() - 1), 4, 0}, {0, 4}, words.size(), scratch.size()), "limbs.size");
  EXPECT_DEATH(run({limbs, 2, 0}, {0, 4}, words.size(), scratch.size()), "num_limbs");
  EXPECT_DEATH(run({limbs, 4, 1}, {0, 4}, words.size(), scratch.size()), "padding");
  EXPECT_DEATH(run(layer.input(), {0, 4}, words.size() - 1, scratch.size()), "words.size");
  EXPECT_DEATH(run(layer.input(), {1, 4}, words.size(), scratch.size()), "words.size");
  EXPECT_DEATH(run(layer.input(), {1, 5}, words.size(), scratch.size()), "rows");
  EXPECT_DEATH(run(layer.input(), {-1, 3}, words.size(), scratch.size()), "rows");
  EXPECT_DEATH(run(layer.input(), {3, 2}, 0, scratch.size()), "rows");
  EXPECT_DEATH(run(layer.input(), {0, 4}, words.size(), scratch.size() - 1), "scratch.size");
}

TEST_P(RingKernelTest, WhatDoesNotFitIsRefused) {
  const ConvGeometry good = MakeGeometry(4, 6, 2, {5, 5}, kSame3x3);
  const std::vector<int8_t> weights(size_t{6} * 2 * 9);
  ASSERT_TRUE(LinearKernel::Create(good, weights, GetParam()).ok());
  const auto refused = [&](void (*spoil)(ConvGeometry&), size_t num_weights) {
    ConvGeometry g = good;
    spoil(g);
    return LinearKernel::Create(g, std::vector<int8_t>(num_weights), GetParam()).status().code();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(refused([](ConvGeometry&) {}, weights.size() - 1), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry&) {}, weights.size() + 1), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry& g) { g.batch = 2; }, weights.size()), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry& g) { g.group = 0; }, weights.size()), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry& g) { g.group = 4; }, weights.size()), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry& g) { g.output[1] = 6; }, weights.size()), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry& g) { g.window.strides[0] = 0; }, weights.size()), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry& g) { g.window.pads[3] = -1; }, weights.size()), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry& g) { g.in_channels = 0; }, 0), kInvalid);
  EXPECT_EQ(refused([](ConvGeometry& g) { g.out_channels = -2; }, 0), kInvalid);
}

TEST_P(RingKernelTest, AWindowThatNeedsHugeScratchMemoryIsRefused) {
  ConvGeometry g;
  g.window.kernel = {1, 2};
  g.window.dilations = {1, INT32_MAX};
  g.window.pads = {0, INT32_MAX, 0, 0};
  g.output = {1, 1};
  const auto kernel = LinearKernel::Create(g, std::vector<int8_t>(2), GetParam());
  EXPECT_EQ(kernel.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(kernel.status().message()), testing::HasSubstr("reaches"));
}

TEST_P(RingKernelTest, PackedWeightsAreNotMuchLargerThanTheWeights) {
  const ConvGeometry g = MakeGeometry(64, 64, 1, {8, 8}, kSame3x3);
  const RandomLayer layer(g, 1, 1);
  const size_t bytes = Create(layer)->weight_bytes();
  // Without VNNI they are packed as 16-bit numbers.
  const size_t packed = layer.weights.size() * (GetParam() == Isa::kAvx512Vnni ? 1 : 2);
  EXPECT_GE(bytes, packed);
  EXPECT_LE(bytes, packed + 128);
}

TEST_P(RingKernelTest, WeightsPackedByManyThreadsGiveTheExactSums) {
  for (const ConvGeometry& g : {MakeGeometry(2050, 1501, 1, {1, 1}), MakeGeometry(512, 640, 1, {2, 3}, kSame3x3),
                                MakeGeometry(2200, 2100, 2, {1, 2})}) {
    const RandomLayer layer(g, 1, 1);
    EXPECT_EQ(RunWhole(GetParam(), g, layer.weights, Ring::k32, layer.input(), 7),
              Reference(g, layer.weights, Ring::k32, layer.input()))
        << Describe(g);
  }
}

TEST_P(RingKernelTest, DenseLayersKeepTheirWeightsAsBytesWhereMemoryIsTheLimit) {
  if (GetParam() == Isa::kPortable) {
    GTEST_SKIP() << "multiplication is";
  }
  const RandomLayer layer(MakeGeometry(256, 64, 1, {1, 1}), 1, 1);
  EXPECT_LE(Create(layer)->weight_bytes(), layer.weights.size() + 128);
}

INSTANTIATE_TEST_SUITE_P(Isas, RingKernelTest, testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni),
                         [](const auto& test) { return NameOf(test.param); });

TEST(RingIsaTest, TheBestIsSupportedAndNoSlowerOneIsBetter) {
  EXPECT_TRUE(IsSupported(BestIsa()));
  EXPECT_TRUE(IsSupported(Isa::kPortable));
  if (IsSupported(Isa::kAvx512Vnni)) {
    EXPECT_EQ(BestIsa(), Isa::kAvx512Vnni);
  } else if (IsSupported(Isa::kAvx2)) {
    EXPECT_EQ(BestIsa(), Isa::kAvx2);
  }
}

TEST(RingIsaTest, AnIsaThatTheCpuLacksIsUnimplemented) {
  const ConvGeometry g = MakeGeometry(4, 4, 1, {1, 1});
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512Vnni}) {
    const auto kernel = LinearKernel::Create(g, std::vector<int8_t>(16), isa);
    EXPECT_EQ(kernel.status().code(), IsSupported(isa) ? absl::StatusCode::kOk : absl::StatusCode::kUnimplemented);
  }
}

}  // namespace
}  // namespace shoji::kernels::ring
