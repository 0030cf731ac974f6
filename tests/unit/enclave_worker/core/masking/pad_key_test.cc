// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/masking/pad_key.h"

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <string_view>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "enclave_worker/core/masking/keystream.h"
#include "lib/base/bytes.h"
#include "tests/unit/enclave_worker/core/masking/masked_run.h"

namespace shoji::enclave {
namespace {

constexpr std::string_view kNistKey = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
constexpr std::string_view kNistPlaintext =
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
constexpr std::string_view kNistCiphertext =
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6";

std::vector<uint8_t> FromHex(std::string_view text) {
  std::vector<uint8_t> out;
  const auto digit = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  for (size_t i = 0; i < text.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return out;
}

std::vector<uint8_t> Keystream(KeystreamKind kind, const uint8_t* key, row_kernels::Counter counter, size_t size) {
  std::vector<uint8_t> out(size);
  if (kind == KeystreamKind::kVaes) {
    row_kernels::RoundKeys keys;
    row_kernels::ExpandKeyVaes(key, &keys);
    row_kernels::FillKeystreamVaes(keys, counter, out.data(), size);
  } else {
    row_kernels::FillKeystreamOpenSsl(key, counter, out.data(), size);
  }
  return out;
}

std::vector<uint8_t> Generate(const PadKey& key, uint64_t layer, uint64_t offset, size_t size) {
  std::vector<uint8_t> out(size);
  key.Generate(layer, offset, out);
  return out;
}

// NIST SP 800-38A, F.5.5 CTR-AES256.Encrypt; the counter block starts at f0f1...ff.
TEST(PadKeyTest, TheKeystreamIsThatOfNistSp80038A) {
  const std::vector<uint8_t> key = FromHex(kNistKey);
  const std::vector<uint8_t> plaintext = FromHex(kNistPlaintext);
  const row_kernels::Counter counter{.high = 0xf0f1f2f3f4f5f6f7, .low = 0xf8f9fafbfcfdfeff};
  for (const KeystreamKind kind : KeystreamKinds()) {
    std::vector<uint8_t> ciphertext = Keystream(kind, key.data(), counter, plaintext.size());
    for (size_t i = 0; i < plaintext.size(); ++i) {
      ciphertext[i] ^= plaintext[i];
    }
    EXPECT_EQ(HexEncode(ciphertext), kNistCiphertext) << "kind " << static_cast<int>(kind);
  }
}

// Each block by itself, with another mode of OpenSSL.
TEST(PadKeyTest, EveryBlockIsTheEncryptionOfItsLayerAndNumber) {
  std::array<uint8_t, 32> bytes = {};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(3 * i + 1);
  }
  const std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> ecb(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  ASSERT_EQ(EVP_EncryptInit_ex2(ecb.get(), EVP_aes_256_ecb(), bytes.data(), nullptr, nullptr), 1);
  for (const KeystreamKind kind : KeystreamKinds()) {
    const PadKey key = PadKey::FromBytes(bytes, kind);
    for (const uint64_t layer : {uint64_t{0}, uint64_t{1}, uint64_t{0x0102030405060708}}) {
      for (const uint64_t offset : {uint64_t{0}, uint64_t{64}, uint64_t{4096}, uint64_t{0xFFFFFFFF} * 64}) {
        const std::vector<uint8_t> stream = Generate(key, layer, offset, 1000);
        for (size_t i = 0; i * 16 + 16 <= stream.size(); ++i) {
          std::array<uint8_t, 16> block = {};
          for (size_t b = 0; b < 8; ++b) {
            block[b] = static_cast<uint8_t>(layer >> (56 - 8 * b));
            block[8 + b] = static_cast<uint8_t>((offset / 16 + i) >> (56 - 8 * b));
          }
          std::array<uint8_t, 32> encrypted = {};
          int size = 0;
          ASSERT_EQ(EVP_EncryptUpdate(ecb.get(), encrypted.data(), &size, block.data(), 16), 1);
          ASSERT_EQ(size, 16);
          ASSERT_TRUE(
              std::equal(encrypted.begin(), encrypted.begin() + 16, stream.begin() + static_cast<ptrdiff_t>(i * 16)));
        }
      }
    }
  }
}

TEST(PadKeyTest, BothImplementationsGiveTheSameBytesAtEverySize) {
  if (!IsSupported(KeystreamKind::kVaes)) {
    GTEST_SKIP() << "this CPU lacks VAES";
  }
  for (uint8_t fill = 0; fill < 5; ++fill) {
    const PadKey openssl = TestKey(fill, KeystreamKind::kOpenSsl);
    const PadKey vaes = TestKey(fill, KeystreamKind::kVaes);
    for (size_t size = 0; size < 1200; size += size < 130 ? 1 : 61) {
      ASSERT_EQ(Generate(openssl, 7, 64 * size, size), Generate(vaes, 7, 64 * size, size)) << size;
    }
  }
}

TEST(PadKeyTest, AnyPartOfTheKeystreamCanBeMadeByItself) {
  for (const KeystreamKind kind : KeystreamKinds()) {
    const PadKey key = TestKey(1, kind);
    const std::vector<uint8_t> whole = Generate(key, 3, 0, 5000);
    for (size_t offset = 0; offset < whole.size(); offset += 64) {
      const size_t size = std::min<size_t>(whole.size() - offset, 100);
      const auto begin = whole.begin() + static_cast<ptrdiff_t>(offset);
      ASSERT_EQ(Generate(key, 3, offset, size), std::vector<uint8_t>(begin, begin + static_cast<ptrdiff_t>(size)));
    }
  }
}

// No block of one layer's stream, or of one pad's, occurs in another's.
TEST(PadKeyTest, LayersAndPadsShareNoBlock) {
  std::set<std::vector<uint8_t>> seen;
  size_t num_blocks = 0;
  for (int pad = 0; pad < 8; ++pad) {
    const PadKey key = PadKey::Draw();
    for (uint64_t layer = 0; layer < 8; ++layer) {
      const std::vector<uint8_t> stream = Generate(key, layer, 0, 4096);
      for (size_t i = 0; i < stream.size(); i += 16, ++num_blocks) {
        const auto begin = stream.begin() + static_cast<ptrdiff_t>(i);
        seen.insert(std::vector<uint8_t>(begin, begin + 16));
      }
    }
  }
  EXPECT_EQ(seen.size(), num_blocks);
}

TEST(PadKeyTest, KeysMoveAndDoNotCopy) {
  static_assert(!std::is_copy_constructible_v<PadKey> && !std::is_copy_assignable_v<PadKey>);
  PadKey key = TestKey(9);
  const std::vector<uint8_t> before = Generate(key, 0, 0, 64);
  const PadKey moved = std::move(key);
  EXPECT_EQ(Generate(moved, 0, 0, 64), before);
}

TEST(PadKeyDeathTest, AMovedFromKeyAndAnOddOffsetAbort) {
  PadKey key = TestKey(9);
  std::vector<uint8_t> out(64);
  EXPECT_DEATH(key.Generate(0, 16, out), "check failed");
  const PadKey moved = std::move(key);
  EXPECT_DEATH(key.Generate(0, 0, out), "check failed");  // NOLINT(bugprone-use-after-move): that is the point
}

}  // namespace
}  // namespace shoji::enclave
