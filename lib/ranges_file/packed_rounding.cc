// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/ranges_file/packed_rounding.h"

#include <array>
#include <cstddef>

namespace shoji::ranges_file {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t kDigits = 5;     // in a byte
constexpr uint8_t kEnd = 243;     // 3^5
constexpr uint8_t kNoLetter = 64;

std::array<uint8_t, 256> MakeLetters() {
  std::array<uint8_t, 256> letters = {};
  letters.fill(kNoLetter);
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    letters[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  }
  return letters;
}

std::string ToBase64(const std::vector<uint8_t>& bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (k < count ? bytes[i + k] : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += k <= count ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

// Of `count` bytes exactly.
std::optional<std::vector<uint8_t>> FromBase64(std::string_view text, size_t count) {
  static const std::array<uint8_t, 256> kLetters = MakeLetters();
  if (text.size() % 4 != 0 || text.size() / 4 != (count + 2) / 3) {
    return std::nullopt;
  }
  std::vector<uint8_t> out;
  out.reserve(count);
  for (size_t i = 0; i < text.size(); i += 4) {
    const size_t here = count - out.size() < 3 ? count - out.size() : 3;
    uint32_t bits = 0;
    for (size_t k = 0; k < 4; ++k) {
      const uint8_t letter = kLetters[static_cast<unsigned char>(text[i + k])];
      if (k <= here ? letter == kNoLetter : text[i + k] != '=') {
        return std::nullopt;
      }
      bits = bits << 6 | (k <= here ? letter : 0U);
    }
    for (size_t k = 0; k < 3; ++k) {
      const auto byte = static_cast<uint8_t>(bits >> (16 - 8 * k));
      if (k < here) {
        out.push_back(byte);
      } else if (byte != 0) {
        return std::nullopt;
      }
    }
  }
  return out;
}

}  // namespace

std::string PackRounding(const std::vector<int8_t>& rounding) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < rounding.size(); i += kDigits) {
    int byte = 0;
    for (size_t k = kDigits; k-- > 0;) {
      byte = byte * 3 + (i + k < rounding.size() ? rounding[i + k] + 1 : 0);
    }
    bytes.push_back(static_cast<uint8_t>(byte));
  }
  return ToBase64(bytes);
}

std::optional<std::vector<int8_t>> UnpackRounding(std::string_view text, size_t count) {
  const std::optional<std::vector<uint8_t>> bytes = FromBase64(text, count / kDigits + (count % kDigits != 0 ? 1 : 0));
  if (!bytes.has_value()) {
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
