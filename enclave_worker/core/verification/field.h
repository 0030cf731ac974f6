// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Arithmetic in the field of p = 2^52 - 47 elements, branch-free. Elements are uint64_t in [0, p). Because 2^52 = 47
// mod p, a number is reduced by adding 47 times what stands above bit 52 to what stands below; and 52 bits is what
// AVX-512 IFMA multiplies.
#pragma once

#include <cstdint>

#include "lib/quantization/check_bound.h"

namespace shoji::enclave::field {

// NOLINTNEXTLINE(modernize-use-using): `__extension__` takes no alias
__extension__ typedef unsigned __int128 Wide;

inline constexpr uint64_t kPrime = quantization::kCheckPrime;
inline constexpr int kBits = 52;
inline constexpr uint64_t kLowMask = (uint64_t{1} << kBits) - 1;
inline constexpr uint64_t kFold = (uint64_t{1} << kBits) - kPrime;  // 47
static_assert(kFold == 47);

// `value` mod p.
inline uint64_t Reduce(uint64_t value) {
  const uint64_t folded = (value & kLowMask) + kFold * (value >> kBits);  // < p + 2^18
  const uint64_t less = folded - kPrime;
  return less + (kPrime & (0 - (less >> 63)));
}
inline uint64_t Reduce(Wide value) {
  value = (value & kLowMask) + kFold * (value >> kBits);                                // < 2^82
  return Reduce(static_cast<uint64_t>((value & kLowMask) + kFold * (value >> kBits)));  // < 2^53
}

inline uint64_t Add(uint64_t a, uint64_t b) { return Reduce(a + b); }
inline uint64_t Subtract(uint64_t a, uint64_t b) { return Reduce(a + kPrime - b); }
inline uint64_t Multiply(uint64_t a, uint64_t b) { return Reduce(static_cast<Wide>(a) * b); }
// low + 2^52 high, each any number.
inline uint64_t Combine(uint64_t low, uint64_t high) { return Reduce(low + (static_cast<Wide>(high) << kBits)); }
// Of a signed number.
inline uint64_t FromSigned(int64_t value) {
  // 2^63 is 2^11 * 47 mod p.
  return Subtract(Reduce(static_cast<uint64_t>(value) ^ (uint64_t{1} << 63)), kFold << (63 - kBits));
}

// base^exponent; the exponent is public.
uint64_t Power(uint64_t base, uint64_t exponent);
// 1 / value; 0 for 0.
uint64_t Inverse(uint64_t value);

}  // namespace shoji::enclave::field
