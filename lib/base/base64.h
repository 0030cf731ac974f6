// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Base64 with its padding, on one line (RFC 4648, section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/bytes.h"

namespace shoji {

std::string Base64Encode(ByteSpan bytes);
// None unless `text` is what Base64Encode makes of some bytes: no white space, no missing padding, no bits over.
std::optional<Bytes> Base64Decode(std::string_view text);

}  // namespace shoji
