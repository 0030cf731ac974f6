// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "lib/attest/x509/certificate.h"
#include "lib/base/bytes.h"

struct evp_pkey_st;

namespace shoji::attest::x509 {

// The curve, and the hash that vendors use with it.
enum class EcdsaScheme : uint8_t { kP256Sha256, kP384Sha384 };

// A public key of the vendors' raw signatures (FIPS 186-4). Immutable. Thread-safe.
class EcdsaPublicKey {
 public:
  // `point` is x || y, big-endian. INVALID_ARGUMENT when it is not on the curve.
  static absl::StatusOr<EcdsaPublicKey> FromPoint(EcdsaScheme scheme, ByteSpan point);
  // INVALID_ARGUMENT when the certificate's key is of another kind or curve.
  static absl::StatusOr<EcdsaPublicKey> Of(EcdsaScheme scheme, const Certificate& certificate);

  // `signature` is r || s, big-endian, each of the curve's size. False for any other size, and for r or s that is zero
  // or not less than the group's order.
  bool Verifies(ByteSpan message, ByteSpan signature) const;

 private:
  EcdsaPublicKey(EcdsaScheme scheme, std::shared_ptr<evp_pkey_st> key) : scheme_(scheme), key_(std::move(key)) {}

  EcdsaScheme scheme_;
  std::shared_ptr<evp_pkey_st> key_;  // shared by copies of an immutable value
};

}  // namespace shoji::attest::x509
