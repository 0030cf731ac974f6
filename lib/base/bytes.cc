// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/bytes.h"

#include "lib/base/check.h"

namespace shoji {

std::string HexEncode(ByteSpan bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

void Append(Bytes& out, ByteSpan bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }
void Append(Bytes& out, std::string_view text) { Append(out, AsBytes(text)); }

void AppendUint32(Bytes& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<uint8_t>(value >> shift));
  }
}

void AppendUint64(Bytes& out, uint64_t value) {
  AppendUint32(out, static_cast<uint32_t>(value >> 32));
  AppendUint32(out, static_cast<uint32_t>(value));
}

void AppendLengthPrefixed(Bytes& out, ByteSpan bytes) {
  SHOJI_CHECK(bytes.size() <= UINT32_MAX);
  AppendUint32(out, static_cast<uint32_t>(bytes.size()));
  Append(out, bytes);
}
void AppendLengthPrefixed(Bytes& out, std::string_view text) { AppendLengthPrefixed(out, AsBytes(text)); }

}  // namespace shoji
