// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <array>
#include <memory>

#include <openssl/evp.h>

#include "enclave_worker/core/masking/keystream.h"
#include "lib/base/check.h"

namespace shoji::enclave::row_kernels {
namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

// Fetched once and kept for the life of the process.
const EVP_CIPHER* Aes256Ctr() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
  SHOJI_CHECK(cipher != nullptr);
  return cipher;
}

void PutBigEndian(uint64_t value, uint8_t* out) {
  for (size_t i = 0; i < 8; ++i) {
    out[i] = static_cast<uint8_t>(value >> (56 - 8 * i));
  }
}

}  // namespace

void FillKeystreamOpenSsl(const uint8_t* key, Counter counter, uint8_t* out, size_t size) {
  std::array<uint8_t, 16> block = {};
  PutBigEndian(counter.high, block.data());
  PutBigEndian(counter.low, block.data() + 8);
  const std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> context(EVP_CIPHER_CTX_new());
  SHOJI_CHECK(context != nullptr && EVP_EncryptInit_ex2(context.get(), Aes256Ctr(), key, block.data(), nullptr) == 1);
  // The keystream is what zeros encrypt to.
  constexpr size_t kMaxUpdate = size_t{1} << 30;
  std::fill_n(out, size, uint8_t{0});
  for (size_t at = 0; at < size;) {
    const size_t n = std::min(size - at, kMaxUpdate);
    int written = 0;
    SHOJI_CHECK(EVP_EncryptUpdate(context.get(), out + at, &written, out + at, static_cast<int>(n)) == 1);
    SHOJI_CHECK(written == static_cast<int>(n));
    at += n;
  }
}

void AddToKeystreamPortable(const RowToMask& row, uint8_t* limbs) {
  for (size_t i = 0; i < row.size; ++i) {
    uint32_t rest = uint32_t{row.q[i]} - row.zero_point;  // sign-extended by wrapping
    for (size_t l = 0; l < row.num_limbs; ++l) {
      uint8_t& limb = limbs[l * row.plane + i];
      const uint32_t sum = uint32_t{limb} + (rest & 0xFF);
      limb = static_cast<uint8_t>(sum);
      rest = (rest >> 8) + (sum >> 8);
    }
  }
}

}  // namespace shoji::enclave::row_kernels
