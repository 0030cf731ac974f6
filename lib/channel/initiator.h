// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/channel/framing.h"
#include "lib/crypto/hpke.h"
#include "lib/crypto/plaintext_bytes.h"

namespace shoji::channel {

// The client's end of one session, bound to one manifest that the caller has appraised.
//
// Order of use: send enc() and sealed_hello(); VerifyHello on what comes back; then Seal and OpenResponse, as many and
// in any order. After UNKNOWN_KEY, STALE_MANIFEST or UNKNOWN_SESSION the session is over: attest anew and make another.
//
// Thread-safe. Neither copied nor moved.
class Initiator {
 public:
  // INVALID_ARGUMENT when `public_key` is of small order.
  static absl::StatusOr<std::unique_ptr<Initiator>> Create(const crypto::HpkePublicKey& public_key,
                                                           const ManifestDigest& manifest_digest);
  Initiator(const Initiator&) = delete;
  Initiator& operator=(const Initiator&) = delete;

  const KeyId& key_id() const { return key_id_; }
  const ManifestDigest& manifest_digest() const { return manifest_digest_; }
  const SessionId& session_id() const { return session_id_; }
  const crypto::HpkeEnc& enc() const { return enc_; }
  const Bytes& sealed_hello() const { return sealed_hello_; }

  // Checks that the other end holds the key: the session id agrees and the answer to the hello opens. UNAUTHENTICATED
  // (OPEN_FAILED) otherwise. Seal works from then on.
  absl::Status VerifyHello(const SessionId& session_id, const SealedAnswer& ack);

  // A request for `model`, under a sequence number of its own, which counts from 1 and is consumed before encryption.
  // FAILED_PRECONDITION before VerifyHello has succeeded, RESOURCE_EXHAUSTED when the session has sealed all it may,
  // INVALID_ARGUMENT when `plaintext` exceeds 1 GiB.
  absl::StatusOr<SealedRequest> Seal(std::string_view model, ByteSpan plaintext, Purpose purpose = Purpose::kInference);

  // The plaintext of the answer to request `sequence` for `model`. UNAUTHENTICATED (OPEN_FAILED) when it is any other
  // answer, or altered.
  absl::StatusOr<crypto::PlaintextBytes> OpenResponse(uint64_t sequence, std::string_view model,
                                                      const SealedAnswer& answer) const;

 private:
  Initiator(const crypto::HpkePublicKey& public_key, const ManifestDigest& manifest_digest, crypto::HpkeSender sender);
  absl::Status SealHello();
  MessageIdentity IdentityOf(uint64_t sequence, std::string_view model) const;

  const KeyId key_id_;
  const ManifestDigest manifest_digest_;
  const crypto::HpkeEnc enc_;
  const SessionId session_id_;
  const std::unique_ptr<crypto::HpkeSenderContext> context_;
  Bytes sealed_hello_;  // written in Create only
  std::atomic<bool> established_ = false;
};

}  // namespace shoji::channel
