// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The process's cryptographic random generator (OpenSSL's CTR-DRBG, seeded by the kernel). A generator that fails
// aborts the process: nothing safe can be done without one. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/crypto/secret_bytes.h"

namespace shoji::crypto {

// For values that others will see: salts, nonces.
void FillRandom(std::span<uint8_t> out);

template <size_t kSize>
std::array<uint8_t, kSize> RandomArray() {
  std::array<uint8_t, kSize> out = {};
  FillRandom(out);
  return out;
}

// For keys: from the generator that serves private values only.
SecretBytes RandomSecret(size_t size);

}  // namespace shoji::crypto
