// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How the owner of a sealed model hands its key to an enclave: a sealed request of purpose kRelease, whose plaintext is
// 132 bytes (docs/protocol.md, section 11),
//
//   version u8 = 1 | zero u8[3] | nonce[32] | sealed_digest[32] | manifest_digest[32] | file_key[32]
//
// and whose answer is an answer (payload.h) with the nonce for a body.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/channel/framing.h"
#include "lib/crypto/plaintext_bytes.h"
#include "lib/crypto/secret_bytes.h"
#include "lib/digest/sha2.h"

namespace shoji::channel {

inline constexpr uint8_t kReleaseVersion = 1;
inline constexpr size_t kModelKeySize = 32;
inline constexpr size_t kReleaseSize = 4 + 32 + 32 + 32 + kModelKeySize;
inline constexpr size_t kReleaseAnswerBodySize = 32;

using ReleaseNonce = std::array<uint8_t, 32>;

// Move-only. Thread-compatible.
struct KeyRelease {
  ReleaseNonce nonce = {};                   // the owner's, used once
  digest::Sha256Digest sealed_digest = {};   // of the sealed file that the key opens
  ManifestDigest manifest_digest = {};       // of the manifest that the owner appraised
  crypto::SecretBytes file_key{kModelKeySize};
};

crypto::PlaintextBytes BuildRelease(const KeyRelease& release);
// Parses decrypted but still hostile bytes. INVALID_ARGUMENT (BAD_INPUT) unless version, zeros and length are right.
absl::StatusOr<KeyRelease> ParseRelease(ByteSpan plaintext);

}  // namespace shoji::channel
