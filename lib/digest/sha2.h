// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// SHA-2 of public data: names for models, manifests and keys. Every process may link this; nothing here is secret.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "lib/base/bytes.h"

struct evp_md_ctx_st;

namespace shoji::digest {

using Sha256Digest = std::array<uint8_t, 32>;
using Sha512Digest = std::array<uint8_t, 64>;

// FIPS 180-4.
Sha256Digest Sha256(ByteSpan data);
Sha512Digest Sha512(ByteSpan data);

// SHA-256 of data that arrives in pieces. Thread-compatible.
class Sha256Stream {
 public:
  Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  ~Sha256Stream();

  void Update(ByteSpan data);
  // Call once, last.
  Sha256Digest Finish();

 private:
  evp_md_ctx_st* context_;
};

}  // namespace shoji::digest
