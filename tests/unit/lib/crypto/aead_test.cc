// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/aead.h"

#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/synchronization/mutex.h"
#include "lib/base/reason.h"
#include "tests/support/hex.h"
#include "tests/unit/lib/crypto/vectors.h"

namespace shoji::crypto {
namespace {

using ::shoji::testing::ArrayFromHex;
using ::shoji::testing::FromHex;

AeadKey TestKey() { return AeadKey(SecretBytes::CopyOf(Bytes(32, 0x11))); }
AeadBaseNonce TestNonce() { return AeadBaseNonce(SecretBytes::CopyOf(Bytes(12, 0x22))); }

Bytes SealNext(AeadSealer& sealer, ByteSpan aad, ByteSpan plaintext) {
  return sealer.Seal(*sealer.TakeSequence(), aad, plaintext).value();
}

TEST(Aes256GcmTest, MatchesThePublishedCases) {
  const nlohmann::json file = testing::LoadVectors("aes_256_gcm_nist.json");
  ASSERT_EQ(file["cases"].size(), 4u);
  for (const nlohmann::json& vector : file["cases"]) {
    const AeadKey key(SecretBytes::CopyOf(FromHex(vector["key"].get<std::string>())));
    const internal::AeadNonce nonce = ArrayFromHex<12>(vector["nonce"].get<std::string>());
    const Bytes aad = FromHex(vector["aad"].get<std::string>());
    const Bytes plaintext = FromHex(vector["pt"].get<std::string>());
    const absl::StatusOr<Bytes> sealed = internal::Aes256GcmSeal(key, nonce, aad, plaintext);
    ASSERT_TRUE(sealed.ok());
    EXPECT_EQ(HexEncode(*sealed), vector["ct"].get<std::string>() + vector["tag"].get<std::string>());
    const absl::StatusOr<PlaintextBytes> opened = internal::Aes256GcmOpen(key, nonce, aad, *sealed);
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(HexEncode(opened->Expose()), HexEncode(plaintext));
  }
}

TEST(AeadTest, OpenRejectsEveryFlippedBitOfCiphertextTagAndAad) {
  AeadSealer sealer(TestKey(), TestNonce(), 10);
  const AeadOpener opener(TestKey(), TestNonce());
  const Bytes aad = ToBytes("associated");
  const Bytes sealed = SealNext(sealer, aad, AsBytes("plaintext"));
  ASSERT_TRUE(opener.OpenAt(0, aad, sealed).ok());
  for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes flipped = sealed;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ 1 << bit % 8);
    EXPECT_EQ(ReasonOf(opener.OpenAt(0, aad, flipped).status()), Reason::kOpenFailed) << bit;
  }
  for (size_t bit = 0; bit < aad.size() * 8; ++bit) {
    Bytes flipped = aad;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ 1 << bit % 8);
    EXPECT_EQ(ReasonOf(opener.OpenAt(0, flipped, sealed).status()), Reason::kOpenFailed) << bit;
  }
}

TEST(AeadTest, OpenRejectsEveryTruncationAndExtension) {
  AeadSealer sealer(TestKey(), TestNonce(), 10);
  const AeadOpener opener(TestKey(), TestNonce());
  Bytes sealed = SealNext(sealer, {}, AsBytes("plaintext"));
  for (size_t length = 0; length < sealed.size(); ++length) {
    EXPECT_EQ(ReasonOf(opener.OpenAt(0, {}, ByteSpan(sealed).first(length)).status()), Reason::kOpenFailed) << length;
    EXPECT_EQ(ReasonOf(opener.OpenAt(0, {}, ByteSpan(sealed).last(length)).status()), Reason::kOpenFailed) << length;
  }
  sealed.push_back(0);
  EXPECT_EQ(ReasonOf(opener.OpenAt(0, {}, sealed).status()), Reason::kOpenFailed);
}

TEST(AeadTest, AMessageOpensOnlyUnderItsOwnNumber) {
  AeadSealer sealer(TestKey(), TestNonce(), 10);
  const AeadOpener opener(TestKey(), TestNonce());
  for (uint64_t number = 0; number < 3; ++number) {
    const Bytes sealed = SealNext(sealer, {}, AsBytes("same"));
    for (uint64_t tried = 0; tried < 3; ++tried) {
      EXPECT_EQ(opener.OpenAt(tried, {}, sealed).ok(), tried == number);
    }
  }
}

TEST(AeadTest, EmptyMessagesAreAuthenticatedToo) {
  AeadSealer sealer(TestKey(), TestNonce(), 10);
  const AeadOpener opener(TestKey(), TestNonce());
  const Bytes sealed = SealNext(sealer, AsBytes("aad"), {});
  EXPECT_EQ(sealed.size(), kAeadTagSize);
  EXPECT_TRUE(opener.OpenAt(0, AsBytes("aad"), sealed).ok());
  EXPECT_FALSE(opener.OpenAt(0, AsBytes("add"), sealed).ok());
}

TEST(AeadSealerTest, FailsClosedAtItsMessageLimit) {
  AeadSealer sealer(TestKey(), TestNonce(), 2);
  EXPECT_TRUE(sealer.TakeSequence().ok());
  EXPECT_TRUE(sealer.TakeSequence().ok());
  EXPECT_EQ(sealer.TakeSequence().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(sealer.TakeSequence().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(AeadSealerTest, ThreadsNeverGetTheSameNumber) {
  AeadSealer sealer(TestKey(), TestNonce(), 4000);
  absl::Mutex mu;
  std::set<uint64_t> seen;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&sealer, &mu, &seen] {
        for (int i = 0; i < 1000; ++i) {
          const absl::StatusOr<AeadSealer::Sequence> sequence = sealer.TakeSequence();
          ASSERT_TRUE(sequence.ok());
          const absl::MutexLock lock(&mu);
          EXPECT_TRUE(seen.insert(sequence->value()).second);
        }
      });
    }
  }
  EXPECT_EQ(seen.size(), 4000u);
  EXPECT_FALSE(sealer.TakeSequence().ok());
}

TEST(AeadSealerDeathTest, ANumberSealsOneMessageOnly) {
  AeadSealer sealer(TestKey(), TestNonce(), 10);
  AeadSealer::Sequence sequence = *sealer.TakeSequence();
  ASSERT_TRUE(sealer.Seal(std::move(sequence), {}, AsBytes("one")).ok());
  EXPECT_DEATH((void)sealer.Seal(std::move(sequence), {}, AsBytes("two")), "check failed");  // NOLINT
}

TEST(AeadSealerDeathTest, ANumberOfAnotherSealerAborts) {
  AeadSealer a(TestKey(), TestNonce(), 10);
  AeadSealer b(TestKey(), TestNonce(), 10);
  EXPECT_DEATH((void)b.Seal(*a.TakeSequence(), {}, {}), "check failed");
}

}  // namespace
}  // namespace shoji::crypto
