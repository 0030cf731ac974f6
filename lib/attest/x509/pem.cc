// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/x509/pem.h"

#include <algorithm>
#include <string>
#include <utility>

#include "lib/base/status_macros.h"

namespace shoji::attest::x509 {
namespace {

constexpr size_t kMaxBlocks = 64;

int ValueOf(char c) {
  if (c >= 'A' && c <= 'Z') {
    return c - 'A';
  }
  if (c >= 'a' && c <= 'z') {
    return c - 'a' + 26;
  }
  if (c >= '0' && c <= '9') {
    return c - '0' + 52;
  }
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Takes one end of line, "\n" or "\r\n", off the front of `text`.
bool TakeLineEnd(std::string_view& text) {
  const size_t length = text.starts_with("\r\n") ? 2 : text.starts_with('\n') ? 1 : 0;
  text.remove_prefix(length);
  return length != 0;
}

bool Take(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) {
    return false;
  }
  text.remove_prefix(what.size());
  return true;
}

// Base64 with line ends between characters; stops at the first '-'.
absl::StatusOr<Bytes> TakeBase64(std::string_view& text) {
  Bytes out;
  uint32_t bits = 0;
  size_t num_values = 0;
  size_t num_pads = 0;
  while (!text.empty() && text.front() != '-') {
    if (TakeLineEnd(text)) {
      continue;
    }
    const char c = text.front();
    text.remove_prefix(1);
    const int value = ValueOf(c);
    if ((value < 0 && c != '=') || (value >= 0 && num_pads > 0) || (c == '=' && num_values % 4 < 2)) {
      return absl::InvalidArgumentError("the base64 text holds a character that does not belong there");
    }
    bits = bits << 6 | (value < 0 ? 0U : static_cast<uint32_t>(value));
    ++num_values;
    num_pads += value < 0 ? 1U : 0U;
    if (num_values % 4 == 0) {
      if ((num_pads == 1 && (bits & 0xFF) != 0) || (num_pads == 2 && (bits & 0xFFFF) != 0)) {
        return absl::InvalidArgumentError("the base64 text ends in bits that mean nothing");
      }
      for (size_t i = 0; i < 3 - num_pads; ++i) {
        out.push_back(static_cast<uint8_t>(bits >> (16 - 8 * i) & 0xFF));
      }
      bits = 0;
    }
  }
  if (num_values % 4 != 0 || out.empty()) {
    return absl::InvalidArgumentError("the base64 text is cut short");
  }
  return out;
}

}  // namespace

absl::StatusOr<std::vector<Bytes>> DecodePem(ByteSpan bytes, std::string_view label) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (text.ends_with('\0')) {
    text.remove_suffix(1);
  }
  const std::string begin = "-----BEGIN " + std::string(label) + "-----";
  const std::string end = "-----END " + std::string(label) + "-----";
  std::vector<Bytes> out;
  while (!text.empty()) {
    if (TakeLineEnd(text)) {
      continue;
    }
    if (!Take(text, begin) || !TakeLineEnd(text)) {
      return absl::InvalidArgumentError("expected a line \"" + begin + "\"");
    }
    ASSIGN_OR_RETURN(Bytes der, TakeBase64(text));
    if (!Take(text, end) || (!text.empty() && !TakeLineEnd(text))) {
      return absl::InvalidArgumentError("expected a line \"" + end + "\"");
    }
    if (out.size() == kMaxBlocks) {
      return absl::InvalidArgumentError("more than " + std::to_string(kMaxBlocks) + " PEM blocks");
    }
    out.push_back(std::move(der));
  }
  if (out.empty()) {
    return absl::InvalidArgumentError("no line \"" + begin + "\"");
  }
  return out;
}

bool LooksLikePem(ByteSpan text) {
  static constexpr std::string_view kBegin = "-----BEGIN ";
  return std::search(text.begin(), text.end(), kBegin.begin(), kBegin.end()) != text.end();
}

}  // namespace shoji::attest::x509
