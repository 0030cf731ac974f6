// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/verification/field.h"

namespace shoji::enclave::field {

uint64_t Power(uint64_t base, uint64_t exponent) {
  uint64_t result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) {
      result = Multiply(result, base);
    }
    base = Multiply(base, base);
  }
  return result;
}

// Fermat.
uint64_t Inverse(uint64_t value) { return Power(value, kPrime - 2); }

}  // namespace shoji::enclave::field
