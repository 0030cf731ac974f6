// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/release.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "lib/base/reason.h"

namespace shoji::channel {
namespace {

KeyRelease Example() {
  KeyRelease release;
  release.nonce.fill(1);
  release.sealed_digest.fill(2);
  release.manifest_digest.fill(3);
  std::ranges::fill(release.file_key.ExposeMutable(), uint8_t{4});
  return release;
}

TEST(ReleaseTest, ReadsWhatItBuilds) {
  const crypto::PlaintextBytes plaintext = BuildRelease(Example());
  ASSERT_EQ(plaintext.size(), kReleaseSize);
  const absl::StatusOr<KeyRelease> read = ParseRelease(plaintext.Expose());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->nonce, Example().nonce);
  EXPECT_EQ(read->sealed_digest, Example().sealed_digest);
  EXPECT_EQ(read->manifest_digest, Example().manifest_digest);
  EXPECT_TRUE(std::ranges::equal(read->file_key.Expose(), Example().file_key.Expose()));
}

TEST(ReleaseTest, EveryOtherLengthIsMalformed) {
  for (size_t size = 0; size < 2 * kReleaseSize; ++size) {
    Bytes bytes(size, 0);
    if (size > 0) {
      bytes[0] = kReleaseVersion;
    }
    EXPECT_EQ(ParseRelease(bytes).ok(), size == kReleaseSize) << size;
  }
}

TEST(ReleaseTest, AnotherVersionOrANonZeroReservedByteIsMalformed) {
  const crypto::PlaintextBytes plaintext = BuildRelease(Example());
  for (size_t i = 0; i < 4; ++i) {
    Bytes bytes(plaintext.Expose().begin(), plaintext.Expose().end());
    bytes[i] ^= 2;
    EXPECT_EQ(ReasonOf(ParseRelease(bytes).status()), Reason::kBadInput) << i;
  }
}

}  // namespace
}  // namespace shoji::channel
