// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/answer_cipher.h"

#include "lib/base/status_macros.h"
#include "lib/crypto/aead.h"
#include "lib/crypto/random.h"

namespace shoji::channel {
namespace {

constexpr size_t kKeySize = crypto::AeadKey::kSize;
constexpr size_t kNonceSize = crypto::AeadBaseNonce::kSize;

struct AnswerKey {
  crypto::AeadKey key;
  crypto::AeadBaseNonce nonce;
};

template <typename Context>
AnswerKey DeriveAnswerKey(const Context& context, uint64_t sequence, const Salt& salt) {
  const crypto::SecretBytes exported = context.Export(AnswerExporterContext(sequence, salt), kKeySize + kNonceSize);
  return {.key = crypto::AeadKey::CopyOf(exported.Expose().first<kKeySize>()),
          .nonce = crypto::AeadBaseNonce::CopyOf(exported.Expose().last<kNonceSize>())};
}

}  // namespace

absl::StatusOr<SealedAnswer> ResponseSealer::Seal(ByteSpan plaintext) const {
  return internal::SealAnswerUnderSalt(*context_, identity_, crypto::RandomArray<sizeof(Salt)>(), plaintext);
}

absl::StatusOr<crypto::PlaintextBytes> OpenAnswer(const crypto::HpkeSenderContext& context,
                                                  const MessageIdentity& identity, const Salt& salt,
                                                  ByteSpan ciphertext) {
  AnswerKey derived = DeriveAnswerKey(context, identity.sequence, salt);
  const crypto::AeadOpener opener(std::move(derived.key), std::move(derived.nonce));
  return opener.OpenAt(0, AnswerAad(identity), ciphertext);
}

namespace internal {

absl::StatusOr<SealedAnswer> SealAnswerUnderSalt(const crypto::HpkeRecipientContext& context,
                                                 const MessageIdentity& identity, const Salt& salt,
                                                 ByteSpan plaintext) {
  AnswerKey derived = DeriveAnswerKey(context, identity.sequence, salt);
  // One message only; number 0 leaves the exported nonce as it is.
  crypto::AeadSealer sealer(std::move(derived.key), std::move(derived.nonce), 1);
  ASSIGN_OR_RETURN(crypto::AeadSealer::Sequence sequence, sealer.TakeSequence());
  ASSIGN_OR_RETURN(Bytes ciphertext, sealer.Seal(std::move(sequence), AnswerAad(identity), plaintext));
  return SealedAnswer{.salt = salt, .ciphertext = std::move(ciphertext)};
}

}  // namespace internal
}  // namespace shoji::channel
