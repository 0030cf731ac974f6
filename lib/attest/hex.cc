// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/hex.h"

#include <string>

#include "lib/base/status_macros.h"

namespace shoji::attest {
namespace {

int ValueOf(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

absl::StatusOr<Bytes> DecodeHex(std::string_view text) {
  if (text.size() % 2 != 0) {
    return absl::InvalidArgumentError("an odd number of hexadecimal digits");
  }
  Bytes out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = ValueOf(text[i]);
    const int low = ValueOf(text[i + 1]);
    if (high < 0 || low < 0) {
      return absl::InvalidArgumentError("not hexadecimal");
    }
    out.push_back(static_cast<uint8_t>(high << 4 | low));
  }
  return out;
}

absl::StatusOr<Bytes> DecodeHex(std::string_view text, size_t size) {
  ASSIGN_OR_RETURN(Bytes out, DecodeHex(text));
  if (out.size() != size) {
    return absl::InvalidArgumentError("expected " + std::to_string(2 * size) + " hexadecimal digits, found " +
                                      std::to_string(text.size()));
  }
  return out;
}

}  // namespace shoji::attest
