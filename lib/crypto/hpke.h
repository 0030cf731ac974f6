// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Hybrid public key encryption (RFC 9180), mode base, in one suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
// AES-256-GCM.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/keys.h"
#include "lib/crypto/plaintext_bytes.h"
#include "lib/crypto/secret_bytes.h"

namespace shoji::crypto {

using HpkePublicKey = std::array<uint8_t, 32>;
using HpkeEnc = std::array<uint8_t, 32>;  // the encapsulated key: the sender's ephemeral public key

// A sender seals at most this many messages under one context.
inline constexpr uint64_t kHpkeMessageLimit = uint64_t{1} << 32;

// Move-only. Thread-compatible.
struct HpkeKeyPair {
  HpkePublicKey public_key = {};
  HpkePrivateKey private_key;
};

HpkeKeyPair GenerateHpkeKeyPair();
// RFC 9180, section 7.1.3. `ikm` has at least 32 bytes of entropy; who knows it knows the key.
HpkeKeyPair DeriveHpkeKeyPair(ByteSpan ikm);

// What both ends derive: the key of the sender's messages and the exporter. An opaque part of the contexts below.
struct HpkeSchedule {
  AeadKey key;
  AeadBaseNonce base_nonce;
  ExporterSecret exporter_secret;
};

// Thread-safe. Neither copied nor moved.
class HpkeSenderContext {
 public:
  explicit HpkeSenderContext(HpkeSchedule schedule);

  // As AeadSealer: a number is given out once, counted from 0.
  absl::StatusOr<AeadSealer::Sequence> TakeSequence() { return sealer_.TakeSequence(); }
  absl::StatusOr<Bytes> Seal(AeadSealer::Sequence sequence, ByteSpan aad, ByteSpan plaintext) const;
  // RFC 9180, section 5.3.
  SecretBytes Export(ByteSpan exporter_context, size_t length) const;

 private:
  AeadSealer sealer_;
  ExporterSecret exporter_secret_;
};

// Thread-safe. Neither copied nor moved.
class HpkeRecipientContext {
 public:
  explicit HpkeRecipientContext(HpkeSchedule schedule);
  HpkeRecipientContext(const HpkeRecipientContext&) = delete;
  HpkeRecipientContext& operator=(const HpkeRecipientContext&) = delete;

  // Message number `sequence`, any order and as often as asked: replay is the caller's to refuse. Every failure is the
  // same UNAUTHENTICATED (OPEN_FAILED).
  absl::StatusOr<PlaintextBytes> OpenAt(uint64_t sequence, ByteSpan aad, ByteSpan ciphertext) const;
  SecretBytes Export(ByteSpan exporter_context, size_t length) const;

 private:
  AeadOpener opener_;
  ExporterSecret exporter_secret_;
};

struct HpkeSender {
  HpkeEnc enc = {};
  std::unique_ptr<HpkeSenderContext> context;
};

// INVALID_ARGUMENT when `public_key` gives the all-zero shared secret.
absl::StatusOr<HpkeSender> SetupBaseSender(const HpkePublicKey& public_key, ByteSpan info);

// UNAUTHENTICATED (OPEN_FAILED) when `enc` gives the all-zero shared secret. Any other `enc` gives a context: only a
// message that opens proves that the sender knew the key.
absl::StatusOr<std::unique_ptr<HpkeRecipientContext>> SetupBaseRecipient(const HpkeEnc& enc,
                                                                         const HpkeKeyPair& key_pair, ByteSpan info);

namespace internal {

// With a given ephemeral key: for test vectors. A key that serves twice gives away both messages.
absl::StatusOr<HpkeSender> SetupBaseSenderWithEphemeral(const HpkePublicKey& public_key, ByteSpan info,
                                                        const HpkeKeyPair& ephemeral);
// X25519 (RFC 7748). INVALID_ARGUMENT when the result is all zero.
absl::StatusOr<SecretBytes> X25519(const HpkePrivateKey& private_key, const HpkePublicKey& public_key);
HpkeKeyPair KeyPairOf(HpkePrivateKey private_key);

}  // namespace internal
}  // namespace shoji::crypto
