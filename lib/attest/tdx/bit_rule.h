// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace shoji::attest {

// 64 bits as they stand in a quote: little-endian, so that bit 28 is bit 4 of the byte with index 3.
using BitField = std::array<uint8_t, 8>;

inline constexpr BitField kAllBits = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

// What bits must be: those of `mask` as in `value`, the others anything.
struct BitRule {
  BitField mask = kAllBits;
  BitField value = {};

  bool Allows(const BitField& found) const;
  // "e702060000000000", and the mask where it leaves something open.
  std::string ToString() const;
};

// INVALID_ARGUMENT for a rule that nothing satisfies (a value outside of its mask), and for one that says nothing. `of`
// names the field.
absl::Status CheckBitRule(const BitRule& rule, const std::string& of);

// The numbers of the bits in which `found` breaks `rule`: "28, 63".
std::string BrokenBits(const BitRule& rule, const BitField& found);

}  // namespace shoji::attest
