// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Between sums.cc and the kernels that are compiled for one instruction set: plain structs and pointers, nothing
// inline.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoji::enclave::row_kernels {

// How the kernels for long runs work: the weight of a position, an element of the field taken in (-p/2, p/2), is
// written in kNumDigits signed base-256 digits; sums over positions of digit * byte are kept for every digit in 32
// bits, in which kMaxPositions fit: 65,000 * 255 * 128 < 2^31. Four positions are one step, because the CPU's byte
// multiplication adds four products.
inline constexpr size_t kNumDigits = 7;
inline constexpr size_t kDigitStride = 8;  // uint32_t a step: four positions' digits, and one unused
inline constexpr size_t kStepPositions = 4;
inline constexpr size_t kMaxPositions = 65000;
inline constexpr size_t kMaxRunPositions = 16384;
// Channels of one block, and its accumulators: [half of the channels][quarter][digit][16 channels].
inline constexpr size_t kBlockChannels = 64;
inline constexpr size_t kBlockAccumulators = kBlockChannels * kNumDigits;

// Positions of one row that share their coefficients.
struct LongRun {
  size_t first = 0;  // byte offset of the first position's activations in the row
  size_t step = 0;   // bytes from one to the next
  size_t count = 0;
};
// A single position.
struct ShortPosition {
  size_t offset = 0;                       // byte offset of its activations in the row
  const uint64_t* coefficients = nullptr;  // one a channel, padded to kBlockChannels with zeros, 64-byte aligned
  uint64_t weight = 0;                     // t'(h, w)
};

struct InputRow {
  const uint8_t* q = nullptr;
  size_t channels = 0;  // padded to 4
  const LongRun* runs = nullptr;
  size_t num_runs = 0;
  const uint32_t* digits = nullptr;  // of this row: [steps of all runs in order][kDigitStride]
  int32_t* accumulators = nullptr;   // of this row's class: [run][block][kBlockAccumulators]
  const ShortPosition* positions = nullptr;
  size_t num_positions = 0;
  uint64_t* low = nullptr;  // 8 lanes: sums of low and high 52 bits of products
  uint64_t* high = nullptr;
};

// Adds one row. Needs AVX-512 F, BW, DQ, VL, IFMA and VNNI. At most 2048 short positions a call, and the lanes of
// `low` and `high` come in below 2^53.
void AddInputRowAvx512(const InputRow& row);

// The channel that lane `lane` of accumulator (half, quarter) of a block belongs to: what byte unpacking leaves.
size_t ChannelOfAccumulator(size_t half, size_t quarter, size_t lane);

}  // namespace shoji::enclave::row_kernels
