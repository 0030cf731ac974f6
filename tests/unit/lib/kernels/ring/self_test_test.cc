// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/ring/self_test.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/kernels/ring/limb_runner.h"

namespace shoji::kernels::ring {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(RingSelfTest, PassesOnEveryIsaOfThisCpu) {
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512Vnni}) {
    if (IsSupported(isa)) {
      EXPECT_EQ(SelfTest(isa), absl::OkStatus()) << NameOf(isa);
    }
  }
}

TEST(RingSelfTest, NamesTheIsaThatTheCpuLacks) {
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512Vnni}) {
    if (!IsSupported(isa)) {
      EXPECT_EQ(SelfTest(isa).code(), absl::StatusCode::kInternal);
      EXPECT_THAT(std::string(SelfTest(isa).message()), HasSubstr(NameOf(isa)));
    }
  }
}

// 32-bit sums of one limb's products, as a library's u8 * s8 -> s32 layer makes them.
int32_t ExactSum(std::span<const uint8_t> x, std::span<const int8_t> w) {
  int32_t sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += x[i] * w[i];
  }
  return sum;
}

// As vpmaddubsw: two products are added with saturation in 16 bits.
int32_t Saturating16BitSum(std::span<const uint8_t> x, std::span<const int8_t> w) {
  int32_t sum = 0;
  for (size_t i = 0; i < x.size(); i += 2) {
    const int32_t second = i + 1 < x.size() ? x[i + 1] * w[i + 1] : 0;
    sum += std::clamp(x[i] * w[i] + second, INT16_MIN, INT16_MAX);
  }
  return sum;
}

int32_t SumThroughFloat32(std::span<const uint8_t> x, std::span<const int8_t> w) {
  return static_cast<int32_t>(static_cast<float>(ExactSum(x, w)));
}

int32_t SignedInputSum(std::span<const uint8_t> x, std::span<const int8_t> w) {
  int32_t sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += static_cast<int8_t>(x[i]) * w[i];
  }
  return sum;
}

int32_t SumWithoutTheLastTerm(std::span<const uint8_t> x, std::span<const int8_t> w) {
  return ExactSum(x.first(x.size() - 1), w.first(x.size() - 1));
}

int32_t SymmetricWeightsSum(std::span<const uint8_t> x, std::span<const int8_t> w) {
  int32_t sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += x[i] * std::max<int32_t>(w[i], -127);
  }
  return sum;
}

TEST(RingSelfTest, AcceptsAnyKernelWithExactSums) {
  EXPECT_EQ(TestKernel("exact", LimbRunner(&ExactSum)), absl::OkStatus());
}

TEST(RingSelfTest, CatchesSumsThatSaturateIn16Bits) {
  const absl::Status status = TestKernel("maddubs", LimbRunner(&Saturating16BitSum));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("maddubs, a row of 1301 terms"), HasSubstr("is wrong")));
}

TEST(RingSelfTest, CatchesSumsStoredThroughFloat32) {
  const absl::Status status = TestKernel("float32", LimbRunner(&SumThroughFloat32));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is wrong"));
}

TEST(RingSelfTest, CatchesInputsTakenAsSigned) {
  EXPECT_EQ(TestKernel("signed", LimbRunner(&SignedInputSum)).code(), absl::StatusCode::kInternal);
}

TEST(RingSelfTest, CatchesAMissingTerm) {
  EXPECT_EQ(TestKernel("short", LimbRunner(&SumWithoutTheLastTerm)).code(), absl::StatusCode::kInternal);
}

TEST(RingSelfTest, CatchesWeightsOfMinus128TakenForMinus127) {
  EXPECT_EQ(TestKernel("clamped", LimbRunner(&SymmetricWeightsSum)).code(), absl::StatusCode::kInternal);
}

// What goes wrong around the sums.
absl::Status TestWithFault(const std::function<void(ConvGeometry&, Ring, LinearInput&, std::vector<uint8_t>*)>& fault) {
  return TestKernel("faulty",
                    [&](const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring,
                        const LinearInput& input) -> absl::StatusOr<std::vector<uint8_t>> {
                      ConvGeometry g = geometry;
                      LinearInput x = input;
                      fault(g, ring, x, nullptr);
                      absl::StatusOr<std::vector<uint8_t>> words = LimbRunner(&ExactSum)(g, weights, ring, x);
                      if (words.ok()) {
                        fault(g, ring, x, &*words);
                      }
                      return words;
                    });
}

TEST(RingSelfTest, CatchesPaddingThatIsIgnored) {
  const absl::Status status =
      TestWithFault([](ConvGeometry&, Ring, LinearInput& input, std::vector<uint8_t>*) { input.padding = 0; });
  EXPECT_THAT(std::string(status.message()), HasSubstr("padding 255: the result is wrong"));
}

TEST(RingSelfTest, CatchesDilationsThatAreSwapped) {
  const absl::Status status = TestWithFault([](ConvGeometry& g, Ring, LinearInput&, std::vector<uint8_t>* words) {
    if (words == nullptr && g.window.dilations == Extents{2, 3}) {
      std::swap(g.window.dilations[0], g.window.dilations[1]);
      std::swap(g.window.pads[0], g.window.pads[1]);
      std::swap(g.window.pads[2], g.window.pads[3]);
    }
  });
  EXPECT_THAT(std::string(status.message()), HasSubstr("dilated"));
}

TEST(RingSelfTest, CatchesOneBitOfTheLastWordAndOfThePadding) {
  for (const bool padding : {false, true}) {
    const absl::Status status =
        TestWithFault([&](ConvGeometry& g, Ring ring, LinearInput&, std::vector<uint8_t>* words) {
          if (words != nullptr && g.out_channels % 4 == 1) {
            const size_t from_end = (padding ? 1 : 4) * WordBytes(ring);
            (*words)[words->size() - from_end] ^= 1;
          }
        });
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << padding;
  }
}

TEST(RingSelfTest, CatchesAnAnswerOfTheWrongLength) {
  const absl::Status status = TestWithFault([](ConvGeometry&, Ring, LinearInput&, std::vector<uint8_t>* words) {
    if (words != nullptr) {
      words->push_back(0);
    }
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
}

TEST(RingSelfTest, ReportsAKernelThatFails) {
  const absl::Status status =
      TestKernel("absent", [](const ConvGeometry&, std::span<const int8_t>, Ring, const LinearInput&) {
        return absl::StatusOr<std::vector<uint8_t>>(absl::UnimplementedError("no such instruction"));
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("absent"), HasSubstr("no such instruction")));
}

}  // namespace
}  // namespace shoji::kernels::ring
