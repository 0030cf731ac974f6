// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// AES-256-CTR keystream, alone or with a row of activations added to it as limbs. Between pad_key.cc, layer_codec.cc
// and the code that is compiled for one instruction set: plain structs and pointers, nothing inline.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoji::enclave::row_kernels {

// The expanded key: secret; callers wipe it.
struct alignas(64) RoundKeys {
  uint8_t bytes[15][16];
};
void ExpandKeyVaes(const uint8_t* key, RoundKeys* out);

// The keystream from counter block u64(high) u64(low) on, big-endian; `size` bytes.
struct Counter {
  uint64_t high = 0;
  uint64_t low = 0;
};
void FillKeystreamVaes(const RoundKeys& keys, Counter counter, uint8_t* out, size_t size);
void FillKeystreamOpenSsl(const uint8_t* key, Counter counter, uint8_t* out, size_t size);

// A row of activations, to be added to a row of keystream laid out as limbs: byte i of plane l becomes byte l of
// (keystream's number i) + (q[i] - zero_point) mod 2^(8 num_limbs). Padding bytes of planes stay keystream.
struct RowToMask {
  const uint8_t* q = nullptr;
  size_t size = 0;
  uint8_t zero_point = 0;
  size_t num_limbs = 0;  // 3 or 4
  size_t plane = 0;      // bytes; a multiple of 64
};
// `limbs` holds the keystream.
void AddToKeystreamPortable(const RowToMask& row, uint8_t* limbs);
// Needs AVX-512 F and BW.
void AddToKeystreamAvx512(const RowToMask& row, uint8_t* limbs);
// Keystream and sum in one pass. Needs VAES and AVX-512 F and BW.
void MaskRowVaes(const RoundKeys& keys, Counter counter, const RowToMask& row, uint8_t* out);

}  // namespace shoji::enclave::row_kernels
