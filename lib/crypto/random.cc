// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/crypto/random.h"

#include <climits>

#include <openssl/rand.h>

#include "lib/base/check.h"

namespace shoji::crypto {

void FillRandom(std::span<uint8_t> out) {
  SHOJI_CHECK(out.size() <= INT_MAX);
  SHOJI_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

SecretBytes RandomSecret(size_t size) {
  SecretBytes out(size);
  SHOJI_CHECK(RAND_priv_bytes(out.ExposeMutable().data(), static_cast<int>(size)) == 1);
  return out;
}

}  // namespace shoji::crypto
