// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/verification/field.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/enclave_worker/core/verification/random_layer.h"

namespace shoji::enclave::field {
namespace {

// Plain arithmetic, to compare with.
uint64_t PowerModulo(uint64_t base, uint64_t exponent, uint64_t modulus) {
  Wide result = 1;
  Wide power = base % modulus;
  for (; exponent != 0; exponent >>= 1) {
    result = (exponent & 1) != 0 ? result * power % modulus : result;
    power = power * power % modulus;
  }
  return static_cast<uint64_t>(result);
}

// Miller-Rabin; with these bases it decides for every number below 3.3 * 10^24 (J. Sorenson and J. Webster, 2015).
bool IsPrime(uint64_t n) {
  uint64_t odd = n - 1;
  int twos = 0;
  for (; odd % 2 == 0; odd /= 2) {
    ++twos;
  }
  for (const unsigned base : {2U, 3U, 5U, 7U, 11U, 13U, 17U, 19U, 23U, 29U, 31U, 37U, 41U}) {
    Wide x = PowerModulo(base, odd, n);
    bool witness = x != 1 && x != n - 1;
    for (int i = 1; i < twos && witness; ++i) {
      x = x * x % n;
      witness = x != n - 1;
    }
    if (witness) {
      return false;
    }
  }
  return true;
}

const std::vector<uint64_t>& EdgeValues() {
  static const std::vector<uint64_t> values = {0,
                                               1,
                                               46,
                                               47,
                                               48,
                                               kPrime - 1,
                                               kPrime,
                                               kPrime + 1,
                                               kLowMask,
                                               kLowMask + 1,
                                               2 * kPrime,
                                               std::numeric_limits<uint64_t>::max(),
                                               uint64_t{1} << 63};
  return values;
}

TEST(FieldTest, TheModulusIsPrime) {
  EXPECT_TRUE(IsPrime(kPrime));
  EXPECT_FALSE(IsPrime(kPrime + 2));
  EXPECT_FALSE(IsPrime((uint64_t{1} << 52) - 1));
  EXPECT_FALSE(IsPrime(uint64_t{67280421310721} * 3));
}

TEST(FieldTest, ReductionAgreesWithDivision) {
  Random random(1);
  for (const uint64_t a : EdgeValues()) {
    EXPECT_EQ(Reduce(a), a % kPrime);
    for (const uint64_t b : EdgeValues()) {
      const Wide wide = (static_cast<Wide>(a) << 64) + b;
      EXPECT_EQ(Reduce(wide), static_cast<uint64_t>(wide % kPrime));
    }
  }
  for (int i = 0; i < 100000; ++i) {
    const Wide wide = (static_cast<Wide>(random()) << 64) + random();
    ASSERT_EQ(Reduce(wide), static_cast<uint64_t>(wide % kPrime));
    const uint64_t narrow = random();
    ASSERT_EQ(Reduce(narrow), narrow % kPrime);
  }
}

TEST(FieldTest, OperationsAgreeWithPlainArithmetic) {
  Random random(2);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t a = RandomElement(random);
    const uint64_t b = RandomElement(random);
    ASSERT_EQ(Add(a, b), (a + b) % kPrime);
    ASSERT_EQ(Subtract(a, b), (a + kPrime - b) % kPrime);
    ASSERT_EQ(Multiply(a, b), static_cast<uint64_t>(static_cast<Wide>(a) * b % kPrime));
  }
  EXPECT_EQ(Combine(5, 3), 5 + 3 * 47U);
}

TEST(FieldTest, NegativeNumbersAreTheirPositiveCounterpartsNegated) {
  Random random(3);
  for (int i = 0; i < 100000; ++i) {
    const auto value = static_cast<int64_t>(random() >> 1);
    ASSERT_EQ(FromSigned(value), static_cast<uint64_t>(value) % kPrime);
    ASSERT_EQ(Add(FromSigned(-value), FromSigned(value)), 0U);
  }
  EXPECT_EQ(Add(FromSigned(std::numeric_limits<int64_t>::min()), Reduce(uint64_t{1} << 63)), 0U);
}

TEST(FieldTest, AnElementTimesItsInverseIsOne) {
  Random random(4);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = RandomElement(random);
    ASSERT_EQ(Multiply(value, Inverse(value)), value == 0 ? 0U : 1U);
  }
  EXPECT_EQ(Power(3, 1000), PowerModulo(3, 1000, kPrime));
}

}  // namespace
}  // namespace shoji::enclave::field
