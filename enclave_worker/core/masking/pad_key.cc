// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/masking/pad_key.h"

#include <utility>

#include <openssl/crypto.h>

#include "enclave_worker/core/masking/keystream.h"
#include "lib/base/check.h"
#include "lib/crypto/random.h"

namespace shoji::enclave {

bool IsSupported(KeystreamKind kind) {
  return kind == KeystreamKind::kOpenSsl || (__builtin_cpu_supports("vaes") && __builtin_cpu_supports("aes") &&
                                             __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"));
}
KeystreamKind BestKeystream() {
  return IsSupported(KeystreamKind::kVaes) ? KeystreamKind::kVaes : KeystreamKind::kOpenSsl;
}

PadKey::PadKey(Key key, KeystreamKind kind) : key_(std::move(key)), kind_(kind) { SHOJI_CHECK(IsSupported(kind)); }

// A key from the generator for each pad, and no way to derive one from another or to set it: two pads agree with
// probability 2^-256.
PadKey PadKey::Draw() { return {Key(crypto::RandomSecret(Key::kSize)), BestKeystream()}; }

PadKey PadKey::FromBytes(std::span<const uint8_t, 32> key, KeystreamKind kind) { return {Key::CopyOf(key), kind}; }

void PadKey::Generate(uint64_t layer, uint64_t offset, std::span<uint8_t> out) const {
  SHOJI_CHECK(offset % kAlignment == 0);
  const row_kernels::Counter counter{.high = layer, .low = offset / kBlockSize};
  if (kind_ == KeystreamKind::kOpenSsl) {
    row_kernels::FillKeystreamOpenSsl(key_.Expose().data(), counter, out.data(), out.size());
    return;
  }
  row_kernels::RoundKeys keys;
  row_kernels::ExpandKeyVaes(key_.Expose().data(), &keys);
  row_kernels::FillKeystreamVaes(keys, counter, out.data(), out.size());
  OPENSSL_cleanse(&keys, sizeof(keys));
}

void PadKey::GenerateAndAdd(uint64_t layer, uint64_t offset, const row_kernels::RowToMask& row, uint8_t* out) const {
  SHOJI_CHECK(offset % kAlignment == 0);
  row_kernels::RoundKeys keys;
  row_kernels::ExpandKeyVaes(key_.Expose().data(), &keys);
  row_kernels::MaskRowVaes(keys, {.high = layer, .low = offset / kBlockSize}, row, out);
  OPENSSL_cleanse(&keys, sizeof(keys));
}

}  // namespace shoji::enclave
