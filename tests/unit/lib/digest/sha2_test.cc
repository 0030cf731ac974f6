// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/digest/sha2.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace shoji::digest {
namespace {

// FIPS 180-4 examples: https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values
constexpr char kTwoBlocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

TEST(Sha2Test, MatchesThePublishedExamples) {
  EXPECT_EQ(HexEncode(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexEncode(Sha256(AsBytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(HexEncode(Sha256(AsBytes(kTwoBlocks))), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(HexEncode(Sha512(AsBytes("abc"))),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Sha2Test, PiecesGiveTheDigestOfTheWhole) {
  const Bytes data(1000, 0x61);
  for (const size_t piece : std::vector<size_t>{1, 7, 63, 64, 65, 999, 1000}) {
    Sha256Stream stream;
    for (size_t at = 0; at < data.size(); at += piece) {
      stream.Update(ByteSpan(data).subspan(at, std::min(piece, data.size() - at)));
    }
    EXPECT_EQ(stream.Finish(), Sha256(data)) << piece;
  }
}

TEST(Sha2Test, AStreamOfNothingIsTheDigestOfNothing) {
  Sha256Stream stream;
  stream.Update({});
  EXPECT_EQ(stream.Finish(), Sha256({}));
}

}  // namespace
}  // namespace shoji::digest
