// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// HKDF-SHA256 (RFC 5869).
#pragma once

#include <cstddef>
#include <initializer_list>

#include "lib/base/bytes.h"
#include "lib/crypto/keys.h"
#include "lib/crypto/secret_bytes.h"

namespace shoji::crypto {

// HKDF-Extract. The input keying material is the concatenation of `ikm`; an empty `salt` stands for 32 zero bytes.
PseudoRandomKey HkdfExtract(ByteSpan salt, std::initializer_list<ByteSpan> ikm);

// HKDF-Expand to `length` bytes, at most kMaxSecretSize. `info` is concatenated.
SecretBytes HkdfExpand(const PseudoRandomKey& key, std::initializer_list<ByteSpan> info, size_t length);

}  // namespace shoji::crypto
