// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/aead.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "absl/status/status.h"
#include "lib/base/check.h"
#include "lib/base/reason.h"

namespace shoji::crypto {
namespace internal {
namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

// Fetched once and kept for the life of the process.
const EVP_CIPHER* Aes256Gcm() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  SHOJI_CHECK(cipher != nullptr);
  return cipher;
}

// What cannot fail for arguments of the right sizes.
void Require(int result) { SHOJI_CHECK(result == 1); }

enum class Direction : int { kOpen = 0, kSeal = 1 };

CipherContext Begin(Direction direction, const AeadKey& key, const AeadNonce& nonce) {
  CipherContext context(EVP_CIPHER_CTX_new());
  SHOJI_CHECK(context != nullptr);
  Require(EVP_CipherInit_ex2(context.get(), Aes256Gcm(), key.Expose().data(), nonce.data(), static_cast<int>(direction),
                             nullptr));
  return context;
}

// Feeds `data` through; `out` is null for associated data. OpenSSL takes null data for the end, so nothing is not fed.
void Update(const CipherContext& context, uint8_t* out, ByteSpan data) {
  if (!data.empty()) {
    int written = 0;
    Require(EVP_CipherUpdate(context.get(), out, &written, data.data(), static_cast<int>(data.size())));
  }
}

}  // namespace

absl::StatusOr<Bytes> Aes256GcmSeal(const AeadKey& key, const AeadNonce& nonce, ByteSpan aad, ByteSpan plaintext) {
  if (plaintext.size() > kMaxAeadMessage || aad.size() > kMaxAeadMessage) {
    return absl::InvalidArgumentError("a message of more than 1 GiB cannot be sealed");
  }
  const CipherContext context = Begin(Direction::kSeal, key, nonce);
  Update(context, nullptr, aad);
  Bytes out(plaintext.size() + kAeadTagSize);
  Update(context, out.data(), plaintext);
  uint8_t* const tag = out.data() + plaintext.size();
  int written = 0;
  Require(EVP_CipherFinal_ex(context.get(), tag, &written));
  Require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kAeadTagSize, tag));
  return out;
}

absl::StatusOr<PlaintextBytes> Aes256GcmOpen(const AeadKey& key, const AeadNonce& nonce, ByteSpan aad,
                                             ByteSpan ciphertext) {
  if (ciphertext.size() < kAeadTagSize || ciphertext.size() > kMaxAeadMessage || aad.size() > kMaxAeadMessage) {
    return ErrorOf(Reason::kOpenFailed);
  }
  const ByteSpan body = ciphertext.first(ciphertext.size() - kAeadTagSize);
  std::array<uint8_t, kAeadTagSize> tag = {};
  std::copy(ciphertext.end() - kAeadTagSize, ciphertext.end(), tag.begin());
  const CipherContext context = Begin(Direction::kOpen, key, nonce);
  Update(context, nullptr, aad);
  PlaintextBytes out(body.size());
  Update(context, out.ExposeMutable().data(), body);
  Require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kAeadTagSize, tag.data()));
  int written = 0;
  if (EVP_CipherFinal_ex(context.get(), tag.data(), &written) != 1) {
    ERR_clear_error();
    return ErrorOf(Reason::kOpenFailed);  // and `out`, which was not authenticated, is wiped
  }
  return out;
}

}  // namespace internal

namespace {

// RFC 9180, section 5.2: ComputeNonce. A nonce is not secret, but the base it comes from is kept so.
internal::AeadNonce NonceAt(const AeadBaseNonce& base, uint64_t sequence) {
  internal::AeadNonce out = {};
  std::copy(base.Expose().begin(), base.Expose().end(), out.begin());
  for (size_t i = 0; i < sizeof(sequence); ++i) {
    out[out.size() - 1 - i] = static_cast<uint8_t>(out[out.size() - 1 - i] ^ (sequence >> (8 * i) & 0xff));
  }
  return out;
}

}  // namespace

AeadSealer::Sequence::Sequence(Sequence&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), value_(other.value_) {}

AeadSealer::AeadSealer(AeadKey key, AeadBaseNonce base_nonce, uint64_t message_limit)
    : key_(std::move(key)), base_nonce_(std::move(base_nonce)), message_limit_(message_limit) {}

absl::StatusOr<AeadSealer::Sequence> AeadSealer::TakeSequence() {
  uint64_t value = next_.load();
  do {
    if (value >= message_limit_) {
      return absl::ResourceExhaustedError("this key has sealed as many messages as it may; set up a new session");
    }
  } while (!next_.compare_exchange_weak(value, value + 1));
  return Sequence(this, value);
}

absl::StatusOr<Bytes> AeadSealer::Seal(Sequence sequence, ByteSpan aad, ByteSpan plaintext) const {
  SHOJI_CHECK(sequence.owner_ == this);
  return internal::Aes256GcmSeal(key_, NonceAt(base_nonce_, sequence.value()), aad, plaintext);
}

AeadOpener::AeadOpener(AeadKey key, AeadBaseNonce base_nonce)
    : key_(std::move(key)), base_nonce_(std::move(base_nonce)) {}

absl::StatusOr<PlaintextBytes> AeadOpener::OpenAt(uint64_t sequence, ByteSpan aad, ByteSpan ciphertext) const {
  return internal::Aes256GcmOpen(key_, NonceAt(base_nonce_, sequence), aad, ciphertext);
}

}  // namespace shoji::crypto
