// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// AES-256-GCM for messages that carry their number. The nonce of message `n` is base_nonce XOR n (RFC 9180,
// section 5.2), so two messages share a nonce only if they share a number, and a sealer gives each number out once.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/crypto/keys.h"
#include "lib/crypto/plaintext_bytes.h"

namespace shoji::crypto {

inline constexpr size_t kAeadTagSize = 16;
inline constexpr size_t kMaxAeadMessage = size_t{1} << 30;

// The sending direction of one key. It owns the count and never uses a number twice: a number is a token that only
// TakeSequence makes and that Seal consumes. At `message_limit` messages it fails closed. Thread-safe; neither copied
// nor moved.
class AeadSealer {
 public:
  // The right to seal one message. Thread-compatible.
  class Sequence {
   public:
    Sequence(Sequence&& other) noexcept;
    Sequence& operator=(Sequence&&) = delete;
    Sequence(const Sequence&) = delete;
    Sequence& operator=(const Sequence&) = delete;
    ~Sequence() = default;

    uint64_t value() const { return value_; }

   private:
    friend class AeadSealer;
    Sequence(const AeadSealer* owner, uint64_t value) : owner_(owner), value_(value) {}

    const AeadSealer* owner_;  // null once used
    uint64_t value_;
  };

  AeadSealer(AeadKey key, AeadBaseNonce base_nonce, uint64_t message_limit);
  AeadSealer(const AeadSealer&) = delete;
  AeadSealer& operator=(const AeadSealer&) = delete;

  // The next number, from 0. It is consumed here, before anything is encrypted: a failure after this skips a number and
  // never repeats one. RESOURCE_EXHAUSTED at the limit.
  absl::StatusOr<Sequence> TakeSequence();

  // The ciphertext of `plaintext`, kAeadTagSize bytes longer. `sequence` must come from this object and is used up;
  // aborts otherwise. INVALID_ARGUMENT when `plaintext` exceeds kMaxAeadMessage.
  absl::StatusOr<Bytes> Seal(Sequence sequence, ByteSpan aad, ByteSpan plaintext) const;

 private:
  const AeadKey key_;
  const AeadBaseNonce base_nonce_;
  const uint64_t message_limit_;
  std::atomic<uint64_t> next_ = 0;
};

// The receiving direction of one key. It keeps no window: the caller decides which numbers it still accepts.
// Thread-safe.
class AeadOpener {
 public:
  AeadOpener(AeadKey key, AeadBaseNonce base_nonce);

  // The plaintext of message number `sequence`. Every failure is the same UNAUTHENTICATED (OPEN_FAILED).
  absl::StatusOr<PlaintextBytes> OpenAt(uint64_t sequence, ByteSpan aad, ByteSpan ciphertext) const;

 private:
  AeadKey key_;
  AeadBaseNonce base_nonce_;
};

namespace internal {

// The bare primitive, for the classes above and for test vectors: whoever calls it answers for the nonce.
using AeadNonce = std::array<uint8_t, 12>;
absl::StatusOr<Bytes> Aes256GcmSeal(const AeadKey& key, const AeadNonce& nonce, ByteSpan aad, ByteSpan plaintext);
absl::StatusOr<PlaintextBytes> Aes256GcmOpen(const AeadKey& key, const AeadNonce& nonce, ByteSpan aad,
                                             ByteSpan ciphertext);

}  // namespace internal
}  // namespace shoji::crypto
