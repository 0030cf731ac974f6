// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How an answer is sealed and opened: under a key of its own, from the session's exporter, the request's number and a
// fresh salt (docs/protocol.md, section 4).
#pragma once

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/channel/framing.h"
#include "lib/crypto/hpke.h"
#include "lib/crypto/plaintext_bytes.h"

namespace shoji::channel {

// Seals the answers to one request. It holds what it needs of the session, and so stays valid when the session is
// evicted meanwhile. Move-only. Thread-compatible.
class ResponseSealer {
 public:
  ResponseSealer(std::shared_ptr<const crypto::HpkeRecipientContext> context, MessageIdentity identity)
      : context_(std::move(context)), identity_(std::move(identity)) {}
  ResponseSealer(ResponseSealer&&) noexcept = default;
  ResponseSealer& operator=(ResponseSealer&&) noexcept = default;
  ResponseSealer(const ResponseSealer&) = delete;
  ResponseSealer& operator=(const ResponseSealer&) = delete;
  ~ResponseSealer() = default;

  const MessageIdentity& identity() const { return identity_; }

  // Seals `plaintext` under a fresh salt; may be called again (a retry is sealed anew). INVALID_ARGUMENT when it
  // exceeds crypto::kMaxAeadMessage.
  absl::StatusOr<SealedAnswer> Seal(ByteSpan plaintext) const;

 private:
  // Shared with the session and with the session's other requests in flight.
  std::shared_ptr<const crypto::HpkeRecipientContext> context_;
  MessageIdentity identity_;
};

// Every failure is UNAUTHENTICATED (OPEN_FAILED).
absl::StatusOr<crypto::PlaintextBytes> OpenAnswer(const crypto::HpkeSenderContext& context,
                                                  const MessageIdentity& identity, const Salt& salt,
                                                  ByteSpan ciphertext);

namespace internal {

// With a given salt: for test vectors. A salt that serves twice gives away both answers.
absl::StatusOr<SealedAnswer> SealAnswerUnderSalt(const crypto::HpkeRecipientContext& context,
                                                 const MessageIdentity& identity, const Salt& salt, ByteSpan plaintext);

}  // namespace internal
}  // namespace shoji::channel
