// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/ranges_file/packed_rounding.h"

#include <cstddef>

#include "lib/base/base64.h"

namespace shoji::ranges_file {
namespace {

constexpr size_t kDigits = 5;  // in a byte
constexpr uint8_t kEnd = 243;  // 3^5

}  // namespace

std::string PackRounding(const std::vector<int8_t>& rounding) {
  Bytes bytes;
  for (size_t i = 0; i < rounding.size(); i += kDigits) {
    int byte = 0;
    for (size_t k = kDigits; k-- > 0;) {
      byte = byte * 3 + (i + k < rounding.size() ? rounding[i + k] + 1 : 0);
    }
    bytes.push_back(static_cast<uint8_t>(byte));
  }
  return Base64Encode(bytes);
}

std::optional<std::vector<int8_t>> UnpackRounding(std::string_view text, size_t count) {
  const std::optional<Bytes> bytes = Base64Decode(text);
  if (!bytes.has_value() || bytes->size() != count / kDigits + (count % kDigits != 0 ? 1 : 0)) {
    return std::nullopt;
  }
  std::vector<int8_t> out;
  out.reserve(count);
  for (const uint8_t byte : *bytes) {
    if (byte >= kEnd) {
      return std::nullopt;
    }
    int rest = byte;
    for (size_t k = 0; k < kDigits; ++k, rest /= 3) {
      if (out.size() < count) {
        out.push_back(static_cast<int8_t>(rest % 3 - 1));
      } else if (rest != 0) {
        return std::nullopt;
      }
    }
  }
  return out;
}

}  // namespace shoji::ranges_file
