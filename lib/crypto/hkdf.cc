// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/hkdf.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "lib/base/check.h"

namespace shoji::crypto {
namespace {

constexpr size_t kHashSize = 32;

struct FreeMac {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

// HMAC-SHA256 over several pieces. Thread-compatible.
class Hmac {
 public:
  explicit Hmac(ByteSpan key) : context_(EVP_MAC_CTX_new(Algorithm())) {
    SHOJI_CHECK(context_ != nullptr);
    char digest[] = "SHA256";
    const std::array<OSSL_PARAM, 2> params = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                              OSSL_PARAM_construct_end()};
    SHOJI_CHECK(EVP_MAC_init(context_.get(), key.data(), key.size(), params.data()) == 1);
  }

  void Update(ByteSpan data) { SHOJI_CHECK(EVP_MAC_update(context_.get(), data.data(), data.size()) == 1); }
  void Finish(std::span<uint8_t, kHashSize> out) {
    size_t size = 0;
    SHOJI_CHECK(EVP_MAC_final(context_.get(), out.data(), &size, out.size()) == 1 && size == kHashSize);
  }

 private:
  // Fetched once and kept for the life of the process.
  static EVP_MAC* Algorithm() {
    static EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    SHOJI_CHECK(mac != nullptr);
    return mac;
  }

  std::unique_ptr<EVP_MAC_CTX, FreeMac> context_;
};

}  // namespace

PseudoRandomKey HkdfExtract(ByteSpan salt, std::initializer_list<ByteSpan> ikm) {
  constexpr std::array<uint8_t, kHashSize> kZeros = {};
  Hmac hmac(salt.empty() ? ByteSpan(kZeros) : salt);
  for (const ByteSpan piece : ikm) {
    hmac.Update(piece);
  }
  PseudoRandomKey out;
  hmac.Finish(out.ExposeMutable());
  return out;
}

SecretBytes HkdfExpand(const PseudoRandomKey& key, std::initializer_list<ByteSpan> info, size_t length) {
  SecretBytes out(length);
  SecretBytes block(kHashSize);
  size_t filled = 0;
  for (uint8_t counter = 1; filled < length; ++counter) {
    Hmac hmac(key.Expose());
    if (counter > 1) {
      hmac.Update(block.Expose());
    }
    for (const ByteSpan piece : info) {
      hmac.Update(piece);
    }
    hmac.Update({&counter, 1});
    hmac.Finish(block.ExposeMutable().first<kHashSize>());
    const size_t take = std::min(kHashSize, length - filled);
    std::copy_n(block.Expose().begin(), take, out.ExposeMutable().begin() + static_cast<std::ptrdiff_t>(filled));
    filled += take;
  }
  return out;
}

}  // namespace shoji::crypto
