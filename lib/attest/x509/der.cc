// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/x509/der.h"

#include "lib/base/status_macros.h"

namespace shoji::attest::x509 {

absl::StatusOr<DerElement> DerReader::Next() {
  const absl::Status malformed = absl::InvalidArgumentError("malformed DER");
  if (left_.size() < 2 || (left_[0] & 0x1F) == 0x1F) {
    return malformed;
  }
  const uint8_t tag = left_[0];
  size_t length = left_[1];
  size_t header = 2;
  if (length >= 0x80) {
    const size_t num_bytes = length & 0x7F;
    if (num_bytes == 0 || num_bytes > 3 || left_.size() < 2 + num_bytes || left_[2] == 0) {
      return malformed;
    }
    length = 0;
    for (size_t i = 0; i < num_bytes; ++i) {
      length = length << 8 | left_[2 + i];
    }
    header += num_bytes;
    if (length < 0x80) {
      return malformed;
    }
  }
  if (length > left_.size() - header) {
    return malformed;
  }
  const DerElement out = {tag, left_.subspan(header, length)};
  left_ = left_.subspan(header + length);
  return out;
}

absl::StatusOr<ByteSpan> DerReader::Next(uint8_t tag) {
  ASSIGN_OR_RETURN(const DerElement element, Next());
  if (element.tag != tag) {
    return absl::InvalidArgumentError("expected DER tag " + std::to_string(tag) + ", found " +
                                      std::to_string(element.tag));
  }
  return element.content;
}

absl::StatusOr<std::string> DerObjectIdentifier(ByteSpan content) {
  if (content.empty() || (content.back() & 0x80) != 0) {
    return absl::InvalidArgumentError("malformed object identifier");
  }
  std::string out;
  uint64_t arc = 0;
  bool starts = true;
  for (const uint8_t byte : content) {
    if ((starts && byte == 0x80) || arc >> 56 != 0) {
      return absl::InvalidArgumentError("malformed object identifier");
    }
    arc = arc << 7 | (byte & 0x7F);
    starts = (byte & 0x80) == 0;
    if (!starts) {
      continue;
    }
    if (out.empty()) {
      const uint64_t first = arc < 80 ? arc / 40 : 2;
      out = std::to_string(first) + "." + std::to_string(arc - first * 40);
    } else {
      out += "." + std::to_string(arc);
    }
    arc = 0;
  }
  return out;
}

absl::StatusOr<uint32_t> DerUnsigned(ByteSpan content, uint32_t max) {
  if (content.empty() || content.size() > 5 || (content[0] & 0x80) != 0 ||
      (content.size() > 1 && content[0] == 0 && (content[1] & 0x80) == 0)) {
    return absl::InvalidArgumentError("malformed DER integer");
  }
  uint64_t value = 0;
  for (const uint8_t byte : content) {
    value = value << 8 | byte;
  }
  if (value > max) {
    return absl::InvalidArgumentError("DER integer " + std::to_string(value) + " is larger than " +
                                      std::to_string(max));
  }
  return static_cast<uint32_t>(value);
}

}  // namespace shoji::attest::x509
