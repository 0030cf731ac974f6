// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/release.h"

#include <algorithm>
#include <span>

#include "lib/base/check.h"
#include "lib/base/reason.h"

namespace shoji::channel {
namespace {

constexpr size_t kHeaderSize = 4;

void Put(ByteSpan field, std::span<uint8_t>& rest) {
  std::copy(field.begin(), field.end(), rest.begin());
  rest = rest.subspan(field.size());
}

void Take(ByteSpan& rest, std::span<uint8_t> field) {
  std::copy_n(rest.begin(), field.size(), field.begin());
  rest = rest.subspan(field.size());
}

}  // namespace

crypto::PlaintextBytes BuildRelease(const KeyRelease& release) {
  SHOJI_CHECK(release.file_key.size() == kModelKeySize);
  crypto::PlaintextBytes out(kReleaseSize);
  std::span<uint8_t> rest = out.ExposeMutable();
  const std::array<uint8_t, kHeaderSize> header = {kReleaseVersion};
  Put(header, rest);
  Put(release.nonce, rest);
  Put(release.sealed_digest, rest);
  Put(release.manifest_digest, rest);
  Put(release.file_key.Expose(), rest);
  return out;
}

absl::StatusOr<KeyRelease> ParseRelease(ByteSpan plaintext) {
  const std::array<uint8_t, kHeaderSize> header = {kReleaseVersion};
  if (plaintext.size() != kReleaseSize || !std::equal(header.begin(), header.end(), plaintext.begin())) {
    return ErrorOf(Reason::kBadInput);
  }
  ByteSpan rest = plaintext.subspan(kHeaderSize);
  KeyRelease release;
  Take(rest, release.nonce);
  Take(rest, release.sealed_digest);
  Take(rest, release.manifest_digest);
  Take(rest, release.file_key.ExposeMutable());
  return release;
}

}  // namespace shoji::channel
