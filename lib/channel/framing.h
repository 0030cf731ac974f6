// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the two ends of a session derive and authenticate, byte by byte (docs/protocol.md, section 4). Integers are
// big-endian, labels are ASCII without a terminator, `||` concatenates:
//
//   key_id      first 16 bytes of SHA-256(public_key[32])
//   info        "shoji session v1" || manifest_digest[32]
//   session_id  first 16 bytes of SHA-256("shoji session id v1" || enc[32] || manifest_digest[32])
//   hello AAD   "shoji hello v1" || session_id[16] || manifest_digest[32]
//   identity    session_id[16] || sequence[8] || model_length[4] || model || manifest_digest[32]
//   request AAD "shoji request v1" || identity
//   release AAD "shoji release v1" || identity       (a model's key from its owner)
//   answer AAD  "shoji answer v1" || identity
//   exporter    "shoji response v1" || sequence[8] || salt[32]; 44 bytes: key[32] || nonce[12]
//
// Requests are sealed under the session's HPKE context at their sequence number; the hello is number 0 and its
// plaintext is empty. An answer is sealed once under a key of its own; the answer to the hello has sequence 0, an empty
// model and an empty plaintext.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/bytes.h"
#include "lib/crypto/hpke.h"
#include "lib/digest/sha2.h"

namespace shoji::channel {

using KeyId = std::array<uint8_t, 16>;
using SessionId = std::array<uint8_t, 16>;
using Salt = std::array<uint8_t, 32>;
using ManifestDigest = digest::Sha256Digest;

inline constexpr uint64_t kHelloSequence = 0;
inline constexpr size_t kSealedHelloSize = crypto::kAeadTagSize;  // both ways

// What a sealed request is; one kind never opens as the other.
enum class Purpose : uint8_t {
  kInference,
  kRelease,  // hands over the key of a sealed model
};

// A request as it travels.
struct SealedRequest {
  KeyId key_id = {};
  SessionId session_id = {};
  uint64_t sequence = 0;
  std::string model;
  Bytes ciphertext;
  Purpose purpose = Purpose::kInference;  // given by the method that it comes by, and authenticated
};

// An answer as it travels.
struct SealedAnswer {
  Salt salt = {};
  Bytes ciphertext;
};

// What a request and its answer are bound to.
struct MessageIdentity {
  SessionId session_id = {};
  uint64_t sequence = 0;
  std::string model;
  ManifestDigest manifest_digest = {};
};

KeyId KeyIdOf(const crypto::HpkePublicKey& public_key);
Bytes SessionInfo(const ManifestDigest& manifest_digest);
SessionId SessionIdOf(const crypto::HpkeEnc& enc, const ManifestDigest& manifest_digest);
Bytes HelloAad(const SessionId& session_id, const ManifestDigest& manifest_digest);
Bytes RequestAad(const MessageIdentity& identity, Purpose purpose = Purpose::kInference);
Bytes AnswerAad(const MessageIdentity& identity);
Bytes AnswerExporterContext(uint64_t sequence, const Salt& salt);

}  // namespace shoji::channel
