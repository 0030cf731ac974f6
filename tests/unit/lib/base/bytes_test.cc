// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/bytes.h"

#include <gtest/gtest.h>

namespace shoji {
namespace {

TEST(BytesTest, HexIsLowerCaseAndComplete) {
  EXPECT_EQ(HexEncode({}), "");
  EXPECT_EQ(HexEncode(Bytes{0x00, 0x0f, 0xab, 0xff}), "000fabff");
}

TEST(BytesTest, TextSurvivesTheWayThereAndBack) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(ToString(ToBytes(text)), text);
  EXPECT_EQ(ToString(AsBytes(text)), text);
}

TEST(BytesTest, IntegersAreAppendedBigEndian) {
  Bytes out;
  AppendUint32(out, 0x01020304);
  AppendUint64(out, 0x05060708090a0b0c);
  EXPECT_EQ(HexEncode(out), "0102030405060708090a0b0c");
}

TEST(BytesTest, ALengthPrefixMakesConcatenationUnambiguous) {
  Bytes a;
  AppendLengthPrefixed(a, "ab");
  AppendLengthPrefixed(a, "c");
  Bytes b;
  AppendLengthPrefixed(b, "a");
  AppendLengthPrefixed(b, "bc");
  EXPECT_EQ(HexEncode(a),
            "00000002616200000001"
            "63");
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace shoji
