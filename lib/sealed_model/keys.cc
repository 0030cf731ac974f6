// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/sealed_model/keys.h"

#include <algorithm>

#include "lib/crypto/hkdf.h"
#include "lib/crypto/random.h"

namespace shoji::sealed_model {
namespace {

crypto::PseudoRandomKey AsPseudoRandomKey(const FileKey& key) { return crypto::PseudoRandomKey::CopyOf(key.Expose()); }

}  // namespace

OwnerKey NewOwnerKey() { return OwnerKey(crypto::RandomSecret(OwnerKey::kSize)); }

OwnerKeyId IdOf(const OwnerKey& key) {
  const crypto::PseudoRandomKey prk = crypto::HkdfExtract({}, {key.Expose()});
  const crypto::SecretBytes id = crypto::HkdfExpand(prk, {AsBytes("shoji sealed model key id v1")}, sizeof(OwnerKeyId));
  OwnerKeyId out = {};
  std::copy(id.Expose().begin(), id.Expose().end(), out.begin());
  return out;
}

FileKey FileKeyOf(const OwnerKey& key, const Salt& salt, const digest::Sha256Digest& header_digest) {
  const crypto::PseudoRandomKey prk = crypto::HkdfExtract(salt, {key.Expose()});
  return FileKey(crypto::HkdfExpand(prk, {AsBytes("shoji sealed model file key v1"), header_digest}, FileKey::kSize));
}

HeaderTag HeaderTagOf(const FileKey& key) {
  const crypto::SecretBytes tag =
      crypto::HkdfExpand(AsPseudoRandomKey(key), {AsBytes("shoji sealed model header v1")}, sizeof(HeaderTag));
  HeaderTag out = {};
  std::copy(tag.Expose().begin(), tag.Expose().end(), out.begin());
  return out;
}

ContentKey ContentKeyOf(const FileKey& key) {
  constexpr size_t kKeySize = crypto::AeadKey::kSize;
  constexpr size_t kNonceSize = crypto::AeadBaseNonce::kSize;
  const crypto::SecretBytes both = crypto::HkdfExpand(
      AsPseudoRandomKey(key), {AsBytes("shoji sealed model content v1")}, kKeySize + kNonceSize);
  return {.key = crypto::AeadKey::CopyOf(both.Expose().first<kKeySize>()),
          .nonce = crypto::AeadBaseNonce::CopyOf(both.Expose().last<kNonceSize>())};
}

}  // namespace shoji::sealed_model
