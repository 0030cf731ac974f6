// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/tdx/bit_rule.h"

#include "lib/base/bytes.h"

namespace shoji::attest {
namespace {

// The bits of `found` in which it breaks `rule`.
BitField Broken(const BitRule& rule, const BitField& found) {
  BitField out = {};
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<uint8_t>((found[i] ^ rule.value[i]) & rule.mask[i]);
  }
  return out;
}

}  // namespace

bool BitRule::Allows(const BitField& found) const { return Broken(*this, found) == BitField{}; }

std::string BitRule::ToString() const {
  return HexEncode(value) + (mask == kAllBits ? "" : " in the bits of " + HexEncode(mask));
}

absl::Status CheckBitRule(const BitRule& rule, const std::string& of) {
  for (size_t i = 0; i < rule.mask.size(); ++i) {
    if ((rule.value[i] & ~rule.mask[i]) != 0) {
      return absl::InvalidArgumentError("the value of " + of + ", " + HexEncode(rule.value) +
                                        ", has bits that are not in its mask, " + HexEncode(rule.mask));
    }
  }
  return rule.mask == BitField{} ? absl::InvalidArgumentError("the mask of " + of + " has no bit; leave the key out")
                                 : absl::OkStatus();
}

std::string BrokenBits(const BitRule& rule, const BitField& found) {
  const BitField broken = Broken(rule, found);
  std::string out;
  for (size_t bit = 0; bit < 8 * broken.size(); ++bit) {
    if ((broken[bit / 8] >> bit % 8 & 1) != 0) {
      out += (out.empty() ? "" : ", ") + std::to_string(bit);
    }
  }
  return out;
}

}  // namespace shoji::attest
