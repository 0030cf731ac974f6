// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/printable.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace shoji::client {
namespace {

struct Decoded {
  uint32_t code_point = 0;
  size_t size = 0;  // in bytes; 0: no UTF-8
};

// The character at the front of `text`, which is not empty (RFC 3629).
Decoded Decode(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) {
    return {first, 1};
  }
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) {
    return {};
  }
  uint32_t code_point = first & (0xFFU >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80) {
      return {};
    }
    code_point = code_point << 6 | (next & 0x3FU);
  }
  constexpr std::array<uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  return code_point < kLeast[size] || code_point > 0x10FFFF || is_surrogate ? Decoded{} : Decoded{code_point, size};
}

bool IsSafe(uint32_t c) {
  const auto in = [c](uint32_t from, uint32_t to) { return c >= from && c <= to; };
  const bool is_control = c < 0x20 || in(0x7F, 0x9F);
  const bool reorders = c == 0x061C || in(0x200B, 0x200F) || in(0x202A, 0x202E) || in(0x2060, 0x206F) || c == 0xFEFF;
  return !is_control && !reorders && c != 0x2028 && c != 0x2029;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Decoded next = Decode(text);
    const size_t size = next.size == 0 ? 1 : next.size;
    if (next.size != 0 && IsSafe(next.code_point)) {
      out += text.substr(0, size);
    } else {
      out += '?';
    }
    text.remove_prefix(size);
  }
  return out;
}

}  // namespace shoji::client
