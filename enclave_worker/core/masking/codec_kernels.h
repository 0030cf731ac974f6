// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Between layer_codec.cc and the kernels that are compiled for one instruction set: plain structs and pointers, nothing
// inline.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoji::enclave::row_kernels {

// How the check's sum is accumulated; challenge_tables.h explains.
enum class CheckOrder : uint8_t { kNone, kPositionsFirst, kChannelsFirst };

// Some positions of one row of an answer. Per-channel arrays are padded to 64 channels and lie on 64-byte boundaries.
struct RowToUnmask {
  const uint8_t* words = nullptr;  // hostile: each word is loaded once, into a register, and never looked at again
  const uint8_t* pad = nullptr;    // null: none
  size_t num_positions = 0;
  size_t channels = 0;    // padded to 4
  size_t word_bytes = 0;  // 3 or 4

  const uint32_t* subtract = nullptr;  // a' = word - pad - subtract mod 2^k
  const int32_t* add = nullptr;        // lo + bias mod 2^32; a + bias = a' + add wherever it fits in 32 bits
  const int64_t* wide_add = nullptr;   // lo + bias; null where `add` is exact for all of [lo, hi]
  const float* multiplier = nullptr;

  // Quantized output: clamp(round_half_even(y) + zero_point, min, max).
  uint8_t* q = nullptr;
  int32_t zero_point = 0;
  int32_t min = 0;
  int32_t max = 255;
  // Float output: [position][out_channels]. One of `q` and `y` is null.
  float* y = nullptr;
  size_t out_channels = 0;

  CheckOrder order = CheckOrder::kNone;
  const uint64_t* t = nullptr;  // one a position
  const uint64_t* s = nullptr;  // in lane order
  uint64_t* low = nullptr;
  uint64_t* high = nullptr;
};

// Returns the sum over positions and channels of t s a' mod p, 0 without a check; leaves `low` and `high` alone.
uint64_t UnmaskRowPortable(const RowToUnmask& row);
// Adds to `low` and `high`; at most 2048 products a lane. Without wide_add, and with multipliers below 1: then |y| is
// below 2^31 for any a' at all, and converting it cannot overflow. Needs AVX-512 F, BW, DQ, VL, IFMA and VBMI.
void UnmaskRowAvx512(const RowToUnmask& row);
// Channels are summed this many at a time, each time giving one product a lane.
inline constexpr size_t kMaxChannelsFirst = 16384;

// Positions [begin, end) of a row of windows: out[w] = max over rows r and taps k inside the input of
// rows[r][w * stride - pad + k * dilation].
struct RowToPool {
  const uint8_t* const* rows = nullptr;
  size_t num_rows = 0;
  size_t channels = 0;  // padded to 4
  int64_t input_width = 0;
  int64_t output_width = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad = 0;
  uint8_t* out = nullptr;
};
void MaxPoolRowPortable(const RowToPool& row);
// Needs AVX-512 F, BW and VL.
void MaxPoolRowAvx512(const RowToPool& row);

}  // namespace shoji::enclave::row_kernels
