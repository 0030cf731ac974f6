// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::attest::x509 {

// Tags of DER (X.690) that vendors' extensions use.
inline constexpr uint8_t kDerInteger = 0x02;
inline constexpr uint8_t kDerOctetString = 0x04;
inline constexpr uint8_t kDerObjectIdentifier = 0x06;
inline constexpr uint8_t kDerEnumerated = 0x0A;
inline constexpr uint8_t kDerSequence = 0x30;

struct DerElement {
  uint8_t tag = 0;
  ByteSpan content;
};

// Reads DER from front to back: definite, minimal lengths and one-byte tags. The bytes outlive it. Thread-compatible.
class DerReader {
 public:
  explicit DerReader(ByteSpan bytes) : left_(bytes) {}

  bool empty() const { return left_.empty(); }
  // INVALID_ARGUMENT at the end, for a length that is not minimal and for one beyond the end.
  absl::StatusOr<DerElement> Next();
  // The content of the next element, which has this tag.
  absl::StatusOr<ByteSpan> Next(uint8_t tag);

 private:
  ByteSpan left_;
};

// "1.2.840.113741.1.13.1" for the content of an OBJECT IDENTIFIER. INVALID_ARGUMENT.
absl::StatusOr<std::string> DerObjectIdentifier(ByteSpan content);
// The content of an INTEGER or ENUMERATED that is at least 0 and at most `max`, minimally encoded. INVALID_ARGUMENT.
absl::StatusOr<uint32_t> DerUnsigned(ByteSpan content, uint32_t max);

}  // namespace shoji::attest::x509
