// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/hkdf.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/hex.h"
#include "tests/unit/lib/crypto/vectors.h"

namespace shoji::crypto {
namespace {

using ::shoji::testing::FromHex;

TEST(HkdfTest, MatchesRfc5869) {
  const nlohmann::json file = testing::LoadVectors("hkdf_sha256_rfc5869.json");
  ASSERT_EQ(file["cases"].size(), 3u);
  for (const nlohmann::json& vector : file["cases"]) {
    const Bytes ikm = FromHex(vector["ikm"].get<std::string>());
    const PseudoRandomKey prk = HkdfExtract(FromHex(vector["salt"].get<std::string>()), {ikm});
    EXPECT_EQ(HexEncode(prk.Expose()), vector["prk"].get<std::string>());
    const Bytes info = FromHex(vector["info"].get<std::string>());
    const SecretBytes okm = HkdfExpand(prk, {info}, vector["L"].get<size_t>());
    EXPECT_EQ(HexEncode(okm.Expose()), vector["okm"].get<std::string>());
  }
}

TEST(HkdfTest, PiecesAreConcatenated) {
  const PseudoRandomKey whole = HkdfExtract(AsBytes("salt"), {AsBytes("abcdef")});
  const PseudoRandomKey pieces = HkdfExtract(AsBytes("salt"), {AsBytes("ab"), {}, AsBytes("cdef")});
  EXPECT_EQ(HexEncode(whole.Expose()), HexEncode(pieces.Expose()));
  EXPECT_EQ(HexEncode(HkdfExpand(whole, {AsBytes("info")}, 50).Expose()),
            HexEncode(HkdfExpand(whole, {AsBytes("in"), AsBytes("fo")}, 50).Expose()));
}

TEST(HkdfTest, AShorterOutputIsAPrefixOfALongerOne) {
  const PseudoRandomKey key = HkdfExtract({}, {AsBytes("ikm")});
  const std::string longest = HexEncode(HkdfExpand(key, {}, kMaxSecretSize).Expose());
  for (const size_t length : std::vector<size_t>{0, 1, 31, 32, 33, 64, 65, 1000}) {
    EXPECT_EQ(HexEncode(HkdfExpand(key, {}, length).Expose()), longest.substr(0, 2 * length));
  }
}

}  // namespace
}  // namespace shoji::crypto
