// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/constant_time.h"

#include <gtest/gtest.h>

#include "lib/base/bytes.h"
#include "lib/crypto/random.h"

namespace shoji::crypto {
namespace {

TEST(ConstantTimeTest, EqualBytesAreEqual) {
  EXPECT_TRUE(ConstantTimeEquals(AsBytes("shoji"), AsBytes("shoji")));
  EXPECT_TRUE(ConstantTimeEquals({}, {}));
}

TEST(ConstantTimeTest, EveryFlippedBitIsSeen) {
  const Bytes original = ToBytes("0123456789abcdef");
  for (size_t bit = 0; bit < original.size() * 8; ++bit) {
    Bytes flipped = original;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(ConstantTimeEquals(original, flipped)) << bit;
  }
}

TEST(ConstantTimeTest, DifferentSizesAreUnequal) {
  EXPECT_FALSE(ConstantTimeEquals(AsBytes("a"), AsBytes("ab")));
  EXPECT_FALSE(ConstantTimeEquals({}, AsBytes("a")));
}

TEST(RandomTest, TwoDrawsDiffer) {
  EXPECT_NE((RandomArray<32>()), (RandomArray<32>()));
  const SecretBytes a = RandomSecret(32);
  const SecretBytes b = RandomSecret(32);
  EXPECT_FALSE(ConstantTimeEquals(a.Expose(), b.Expose()));
}

}  // namespace
}  // namespace shoji::crypto
