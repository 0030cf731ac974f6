// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/hpke.h"

#include <string_view>
#include <utility>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "absl/status/status.h"
#include "lib/base/check.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/constant_time.h"
#include "lib/crypto/hkdf.h"
#include "lib/crypto/random.h"

namespace shoji::crypto {
namespace {

// "KEM" || kem_id, and "HPKE" || kem_id || kdf_id || aead_id.
constexpr std::array<uint8_t, 5> kKemSuite = {'K', 'E', 'M', 0x00, 0x20};
constexpr std::array<uint8_t, 10> kHpkeSuite = {'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x02};
constexpr std::string_view kVersion = "HPKE-v1";

struct FreePkey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreePkeyContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Pkey = std::unique_ptr<EVP_PKEY, FreePkey>;
using PkeyContext = std::unique_ptr<EVP_PKEY_CTX, FreePkeyContext>;

PseudoRandomKey LabeledExtract(ByteSpan suite, ByteSpan salt, std::string_view label, ByteSpan ikm) {
  return HkdfExtract(salt, {AsBytes(kVersion), suite, AsBytes(label), ikm});
}

SecretBytes LabeledExpand(ByteSpan suite, const PseudoRandomKey& key, std::string_view label, ByteSpan info,
                          size_t length) {
  SHOJI_CHECK(length <= kMaxSecretSize);
  const std::array<uint8_t, 2> encoded_length = {static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
  return HkdfExpand(key, {encoded_length, AsBytes(kVersion), suite, AsBytes(label), info}, length);
}

// RFC 9180, section 4.1: ExtractAndExpand.
SecretBytes KemSharedSecret(const SecretBytes& dh, const HpkeEnc& enc, const HpkePublicKey& recipient) {
  std::array<uint8_t, 64> context = {};
  std::copy(enc.begin(), enc.end(), context.begin());
  std::copy(recipient.begin(), recipient.end(), context.begin() + enc.size());
  const PseudoRandomKey eae = LabeledExtract(kKemSuite, {}, "eae_prk", dh.Expose());
  return LabeledExpand(kKemSuite, eae, "shared_secret", context, 32);
}

// RFC 9180, section 5.1: KeySchedule in mode base, without a pre-shared key.
HpkeSchedule KeySchedule(const SecretBytes& shared_secret, ByteSpan info) {
  const PseudoRandomKey psk_id_hash = LabeledExtract(kHpkeSuite, {}, "psk_id_hash", {});
  const PseudoRandomKey info_hash = LabeledExtract(kHpkeSuite, {}, "info_hash", info);
  Bytes context = {0};  // mode_base
  Append(context, psk_id_hash.Expose());
  Append(context, info_hash.Expose());
  const PseudoRandomKey secret = LabeledExtract(kHpkeSuite, shared_secret.Expose(), "secret", {});
  return {.key = AeadKey(LabeledExpand(kHpkeSuite, secret, "key", context, AeadKey::kSize)),
          .base_nonce = AeadBaseNonce(LabeledExpand(kHpkeSuite, secret, "base_nonce", context, AeadBaseNonce::kSize)),
          .exporter_secret = ExporterSecret(LabeledExpand(kHpkeSuite, secret, "exp", context, ExporterSecret::kSize))};
}

SecretBytes ExportFrom(const ExporterSecret& exporter_secret, ByteSpan context, size_t length) {
  const PseudoRandomKey key = PseudoRandomKey::CopyOf(exporter_secret.Expose());
  return LabeledExpand(kHpkeSuite, key, "sec", context, length);
}

Pkey PrivateKeyOf(const HpkePrivateKey& key) {
  Pkey out(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, key.Expose().data(), key.Expose().size()));
  SHOJI_CHECK(out != nullptr);
  return out;
}

}  // namespace

namespace internal {

HpkeKeyPair KeyPairOf(HpkePrivateKey private_key) {
  HpkeKeyPair out = {.public_key = {}, .private_key = std::move(private_key)};
  const Pkey key = PrivateKeyOf(out.private_key);
  size_t size = out.public_key.size();
  SHOJI_CHECK(EVP_PKEY_get_raw_public_key(key.get(), out.public_key.data(), &size) == 1);
  SHOJI_CHECK(size == out.public_key.size());
  return out;
}

absl::StatusOr<SecretBytes> X25519(const HpkePrivateKey& private_key, const HpkePublicKey& public_key) {
  const Pkey own = PrivateKeyOf(private_key);
  const Pkey peer(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, public_key.data(), public_key.size()));
  SHOJI_CHECK(peer != nullptr);
  const PkeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), nullptr));
  SHOJI_CHECK(context != nullptr && EVP_PKEY_derive_init(context.get()) == 1);
  SecretBytes out(32);
  size_t size = out.size();
  // Both steps may refuse a peer of small order; the comparison after them does not rely on it.
  const bool derived = EVP_PKEY_derive_set_peer(context.get(), peer.get()) == 1 &&
                       EVP_PKEY_derive(context.get(), out.ExposeMutable().data(), &size) == 1 && size == out.size();
  constexpr std::array<uint8_t, 32> kZeros = {};
  if (!derived || ConstantTimeEquals(out.Expose(), kZeros)) {
    ERR_clear_error();
    return absl::InvalidArgumentError("an X25519 public key of small order");
  }
  return out;
}

absl::StatusOr<HpkeSender> SetupBaseSenderWithEphemeral(const HpkePublicKey& public_key, ByteSpan info,
                                                        const HpkeKeyPair& ephemeral) {
  ASSIGN_OR_RETURN(const SecretBytes dh, X25519(ephemeral.private_key, public_key));
  const SecretBytes shared_secret = KemSharedSecret(dh, ephemeral.public_key, public_key);
  return HpkeSender{.enc = ephemeral.public_key,
                    .context = std::make_unique<HpkeSenderContext>(KeySchedule(shared_secret, info))};
}

}  // namespace internal

HpkeKeyPair GenerateHpkeKeyPair() { return internal::KeyPairOf(HpkePrivateKey(RandomSecret(HpkePrivateKey::kSize))); }

HpkeKeyPair DeriveHpkeKeyPair(ByteSpan ikm) {
  const PseudoRandomKey dkp = LabeledExtract(kKemSuite, {}, "dkp_prk", ikm);
  return internal::KeyPairOf(HpkePrivateKey(LabeledExpand(kKemSuite, dkp, "sk", {}, HpkePrivateKey::kSize)));
}

HpkeSenderContext::HpkeSenderContext(HpkeSchedule schedule)
    : sealer_(std::move(schedule.key), std::move(schedule.base_nonce), kHpkeMessageLimit),
      exporter_secret_(std::move(schedule.exporter_secret)) {}

absl::StatusOr<Bytes> HpkeSenderContext::Seal(AeadSealer::Sequence sequence, ByteSpan aad, ByteSpan plaintext) const {
  return sealer_.Seal(std::move(sequence), aad, plaintext);
}

SecretBytes HpkeSenderContext::Export(ByteSpan exporter_context, size_t length) const {
  return ExportFrom(exporter_secret_, exporter_context, length);
}

HpkeRecipientContext::HpkeRecipientContext(HpkeSchedule schedule)
    : opener_(std::move(schedule.key), std::move(schedule.base_nonce)),
      exporter_secret_(std::move(schedule.exporter_secret)) {}

absl::StatusOr<PlaintextBytes> HpkeRecipientContext::OpenAt(uint64_t sequence, ByteSpan aad,
                                                            ByteSpan ciphertext) const {
  return opener_.OpenAt(sequence, aad, ciphertext);
}

SecretBytes HpkeRecipientContext::Export(ByteSpan exporter_context, size_t length) const {
  return ExportFrom(exporter_secret_, exporter_context, length);
}

absl::StatusOr<HpkeSender> SetupBaseSender(const HpkePublicKey& public_key, ByteSpan info) {
  return internal::SetupBaseSenderWithEphemeral(public_key, info, GenerateHpkeKeyPair());
}

absl::StatusOr<std::unique_ptr<HpkeRecipientContext>> SetupBaseRecipient(const HpkeEnc& enc,
                                                                         const HpkeKeyPair& key_pair, ByteSpan info) {
  const absl::StatusOr<SecretBytes> dh = internal::X25519(key_pair.private_key, enc);
  if (!dh.ok()) {
    return ErrorOf(Reason::kOpenFailed);
  }
  const SecretBytes shared_secret = KemSharedSecret(*dh, enc, key_pair.public_key);
  return std::make_unique<HpkeRecipientContext>(KeySchedule(shared_secret, info));
}

}  // namespace shoji::crypto
