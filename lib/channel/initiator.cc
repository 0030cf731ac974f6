// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/initiator.h"

#include <string>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/channel/answer_cipher.h"

namespace shoji::channel {

absl::StatusOr<std::unique_ptr<Initiator>> Initiator::Create(const crypto::HpkePublicKey& public_key,
                                                             const ManifestDigest& manifest_digest) {
  ASSIGN_OR_RETURN(crypto::HpkeSender sender, crypto::SetupBaseSender(public_key, SessionInfo(manifest_digest)));
  std::unique_ptr<Initiator> out(new Initiator(public_key, manifest_digest, std::move(sender)));
  RETURN_IF_ERROR(out->SealHello());
  return out;
}

Initiator::Initiator(const crypto::HpkePublicKey& public_key, const ManifestDigest& manifest_digest,
                     crypto::HpkeSender sender)
    : key_id_(KeyIdOf(public_key)),
      manifest_digest_(manifest_digest),
      enc_(sender.enc),
      session_id_(SessionIdOf(enc_, manifest_digest)),
      context_(std::move(sender.context)) {}

absl::Status Initiator::SealHello() {
  ASSIGN_OR_RETURN(crypto::AeadSealer::Sequence sequence, context_->TakeSequence());
  SHOJI_CHECK(sequence.value() == kHelloSequence);
  ASSIGN_OR_RETURN(sealed_hello_, context_->Seal(std::move(sequence), HelloAad(session_id_, manifest_digest_), {}));
  return absl::OkStatus();
}

absl::Status Initiator::VerifyHello(const SessionId& session_id, const SealedAnswer& ack) {
  if (session_id != session_id_) {
    return ErrorOf(Reason::kOpenFailed);
  }
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes plaintext, OpenResponse(kHelloSequence, "", ack));
  if (plaintext.size() != 0) {
    return ErrorOf(Reason::kOpenFailed);
  }
  established_ = true;
  return absl::OkStatus();
}

absl::StatusOr<SealedRequest> Initiator::Seal(std::string_view model, ByteSpan plaintext, Purpose purpose) {
  if (!established_) {
    return absl::FailedPreconditionError("the enclave has not proved yet that it holds the session");
  }
  ASSIGN_OR_RETURN(crypto::AeadSealer::Sequence sequence, context_->TakeSequence());
  SealedRequest out = {.key_id = key_id_,
                       .session_id = session_id_,
                       .sequence = sequence.value(),
                       .model = std::string(model),
                       .ciphertext = {},
                       .purpose = purpose};
  ASSIGN_OR_RETURN(out.ciphertext, context_->Seal(std::move(sequence),
                                                  RequestAad(IdentityOf(out.sequence, model), purpose), plaintext));
  return out;
}

absl::StatusOr<crypto::PlaintextBytes> Initiator::OpenResponse(uint64_t sequence, std::string_view model,
                                                               const SealedAnswer& answer) const {
  return OpenAnswer(*context_, IdentityOf(sequence, model), answer.salt, answer.ciphertext);
}

MessageIdentity Initiator::IdentityOf(uint64_t sequence, std::string_view model) const {
  return {.session_id = session_id_,
          .sequence = sequence,
          .model = std::string(model),
          .manifest_digest = manifest_digest_};
}

}  // namespace shoji::channel
