// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::attest::x509 {

// The DER of every "-----BEGIN `label`-----" block of a bundle (RFC 7468), at least one. Strict: nothing but blocks and
// ends of lines between them (NUL may end the text), the base64 alphabet, canonical padding, and nothing else; so no
// two texts that differ in more than their line breaks decode to the same bytes. INVALID_ARGUMENT.
absl::StatusOr<std::vector<Bytes>> DecodePem(ByteSpan text, std::string_view label);

// Whether `text` looks like PEM of any label.
bool LooksLikePem(ByteSpan text);

}  // namespace shoji::attest::x509
