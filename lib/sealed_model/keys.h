// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The keys of sealed models. The owner's key may seal any number of files and never leaves the owner's machine; what an
// enclave is given is the key of one file, made from it for that file's very header:
//
//   header_digest = SHA-256(magic[8] || header_length u32 || header)
//   prk           = HKDF-Extract(salt = the header's salt, ikm = owner_key[32])
//   file_key[32]  = HKDF-Expand(prk, "shoji sealed model file key v1" || header_digest)
//   header_tag[32]               = HKDF-Expand(file_key, "shoji sealed model header v1")
//   content_key[32] || nonce[12] = HKDF-Expand(file_key, "shoji sealed model content v1")
//   owner_key_id[16] = HKDF-Expand(HKDF-Extract("", owner_key), "shoji sealed model key id v1")
//
// So another header, whatever its difference, is another key. Chunk i is message number i under the content key.
#pragma once

#include <array>
#include <cstdint>

#include "lib/base/bytes.h"
#include "lib/crypto/keys.h"
#include "lib/digest/sha2.h"
#include "lib/sealed_model/header.h"

namespace shoji::sealed_model {

using OwnerKey = crypto::FixedSecret<struct OwnerKeyTag, 32>;
using FileKey = crypto::FixedSecret<struct FileKeyTag, 32>;
using HeaderTag = std::array<uint8_t, 32>;

OwnerKey NewOwnerKey();
OwnerKeyId IdOf(const OwnerKey& key);

FileKey FileKeyOf(const OwnerKey& key, const Salt& salt, const digest::Sha256Digest& header_digest);
// Proves the key to whoever has the header, and the header to whoever has the key.
HeaderTag HeaderTagOf(const FileKey& key);

struct ContentKey {
  crypto::AeadKey key;
  crypto::AeadBaseNonce nonce;
};
ContentKey ContentKeyOf(const FileKey& key);

}  // namespace shoji::sealed_model
