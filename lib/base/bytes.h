// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Bytes are spans and vectors of uint8_t; std::string is text, and holds bytes only at the protobuf edge, where these
// helpers convert.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shoji {

using Bytes = std::vector<uint8_t>;
using ByteSpan = std::span<const uint8_t>;

// Views `text` as bytes; valid as long as `text` is.
inline ByteSpan AsBytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline Bytes ToBytes(std::string_view text) {
  const ByteSpan span = AsBytes(text);
  return {span.begin(), span.end()};
}
inline std::string ToString(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Lower-case hexadecimal.
std::string HexEncode(ByteSpan bytes);

void Append(Bytes& out, ByteSpan bytes);
void Append(Bytes& out, std::string_view text);
// Big-endian, as RFC 9180's I2OSP.
void AppendUint32(Bytes& out, uint32_t value);
void AppendUint64(Bytes& out, uint64_t value);
// A length of 4 bytes, then the bytes: makes a concatenation unambiguous.
void AppendLengthPrefixed(Bytes& out, ByteSpan bytes);
void AppendLengthPrefixed(Bytes& out, std::string_view text);

}  // namespace shoji
