// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// One type for each kind of key, so that none can stand where another belongs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "lib/base/check.h"
#include "lib/crypto/secret_bytes.h"

namespace shoji::crypto {

// A secret of exactly `kLength` bytes whose kind is `Tag`. Move-only, neither comparable nor printable, and not
// convertible to another kind. Thread-compatible.
template <typename Tag, size_t kLength>
class FixedSecret {
 public:
  static constexpr size_t kSize = kLength;

  // Zero-filled, to be filled through ExposeMutable.
  FixedSecret() : bytes_(kLength) {}
  // Takes `bytes` over; they must have the right size.
  explicit FixedSecret(SecretBytes bytes) : bytes_(std::move(bytes)) { SHOJI_CHECK(bytes_.size() == kLength); }
  static FixedSecret CopyOf(std::span<const uint8_t, kLength> bytes) { return FixedSecret(SecretBytes::CopyOf(bytes)); }

  std::span<const uint8_t, kLength> Expose() const {
    SHOJI_CHECK(bytes_.size() == kLength);  // not moved from
    return bytes_.Expose().first<kLength>();
  }
  std::span<uint8_t, kLength> ExposeMutable() {
    SHOJI_CHECK(bytes_.size() == kLength);
    return bytes_.ExposeMutable().first<kLength>();
  }

  bool operator==(const FixedSecret&) const = delete;
  template <typename Stream>
  friend Stream& operator<<(Stream&, const FixedSecret&) = delete;

 private:
  SecretBytes bytes_;
};

using AeadKey = FixedSecret<struct AeadKeyTag, 32>;              // AES-256-GCM
using AeadBaseNonce = FixedSecret<struct AeadBaseNonceTag, 12>;  // RFC 9180 base_nonce
using HpkePrivateKey = FixedSecret<struct HpkePrivateKeyTag, 32>;
using ExporterSecret = FixedSecret<struct ExporterSecretTag, 32>;
using PseudoRandomKey = FixedSecret<struct PseudoRandomKeyTag, 32>;  // what HKDF-Extract gives

}  // namespace shoji::crypto
