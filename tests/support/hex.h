// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lib/base/bytes.h"
#include "lib/base/check.h"

namespace shoji::testing {

// The bytes of a string of hexadecimal digits that is known to be good.
inline Bytes FromHex(std::string_view hex) {
  const auto digit = [](char c) {
    SHOJI_CHECK((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  SHOJI_CHECK(hex.size() % 2 == 0);
  Bytes out;
  for (size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  }
  return out;
}

template <size_t kSize>
std::array<uint8_t, kSize> ArrayFromHex(std::string_view hex) {
  const Bytes bytes = FromHex(hex);
  SHOJI_CHECK(bytes.size() == kSize);
  std::array<uint8_t, kSize> out = {};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

}  // namespace shoji::testing
