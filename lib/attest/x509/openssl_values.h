// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Conversions between OpenSSL's objects and ours. Private to this folder.
#pragma once

#include <string>

#include <openssl/types.h>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"

namespace shoji::attest::x509 {

// DER of `object`; empty when it cannot be encoded.
template <typename T>
Bytes Encode(T* object, int (*encode)(const T*, unsigned char**)) {
  const int size = encode(object, nullptr);
  if (size <= 0) {
    return {};
  }
  Bytes out(static_cast<size_t>(size));
  unsigned char* position = out.data();
  encode(object, &position);
  return out;
}

template <typename T>
bool EncodesTo(T* object, int (*encode)(const T*, unsigned char**), ByteSpan der) {
  const Bytes encoded = Encode(object, encode);
  return encoded.size() == der.size() && std::equal(encoded.begin(), encoded.end(), der.begin());
}

// The size as OpenSSL takes it. INVALID_ARGUMENT for more than 1 MiB.
absl::StatusOr<long> SizeForOpenSsl(ByteSpan der, const char* what);

// INVALID_ARGUMENT when it is malformed; years beyond those of SystemTime become its last.
absl::StatusOr<SystemTime> TimeOf(const ASN1_TIME* time);

std::string NameToString(const X509_NAME* name);

}  // namespace shoji::attest::x509
