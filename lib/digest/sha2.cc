// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/digest/sha2.h"

#include <openssl/evp.h>

#include "lib/base/check.h"

namespace shoji::digest {

Sha256Digest Sha256(ByteSpan data) {
  Sha256Digest out = {};
  SHOJI_CHECK(EVP_Digest(data.data(), data.size(), out.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return out;
}

Sha512Digest Sha512(ByteSpan data) {
  Sha512Digest out = {};
  SHOJI_CHECK(EVP_Digest(data.data(), data.size(), out.data(), nullptr, EVP_sha512(), nullptr) == 1);
  return out;
}

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  SHOJI_CHECK(context_ != nullptr);
  SHOJI_CHECK(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
}

Sha256Stream::~Sha256Stream() { EVP_MD_CTX_free(context_); }

void Sha256Stream::Update(ByteSpan data) { SHOJI_CHECK(EVP_DigestUpdate(context_, data.data(), data.size()) == 1); }

Sha256Digest Sha256Stream::Finish() {
  Sha256Digest out = {};
  SHOJI_CHECK(EVP_DigestFinal_ex(context_, out.data(), nullptr) == 1);
  return out;
}

}  // namespace shoji::digest
