// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "enclave_worker/core/masking/codec_kernels.h"
#include "enclave_worker/core/verification/challenge_tables.h"
#include "enclave_worker/core/verification/field.h"

namespace shoji::enclave::row_kernels {
namespace {

uint32_t LoadWord(const uint8_t* bytes, size_t word_bytes) {
  uint32_t word = bytes[0] | static_cast<uint32_t>(bytes[1]) << 8 | static_cast<uint32_t>(bytes[2]) << 16;
  if (word_bytes == 4) {
    word |= static_cast<uint32_t>(bytes[3]) << 24;
  }
  // From here on the compiler knows nothing of where the word came from: it cannot load it again.
  asm volatile("" : "+r"(word));
  return word;
}

// a + bias in float32.
float FloatOf(const RowToUnmask& row, size_t channel, uint32_t lifted) {
  if (row.wide_add != nullptr) {
    return static_cast<float>(int64_t{lifted} + row.wide_add[channel]);
  }
  return static_cast<float>(static_cast<int32_t>(lifted + static_cast<uint32_t>(row.add[channel])));
}

// y is clamped to [min - zero point, max - zero point] before it is rounded: these are whole numbers within +-255 and
// rounding is monotonous, so that clamping first changes nothing, and the conversion cannot overflow.
uint8_t Quantize(const RowToUnmask& row, float y) {
  // Adding 1.5 * 2^23 to a small number leaves no bits for a fraction: the sum is rounded half to even.
  constexpr float kRounder = 12582912.0F;
  const auto lowest = static_cast<float>(row.min - row.zero_point);
  const auto highest = static_cast<float>(row.max - row.zero_point);
  y = y > lowest ? y : lowest;
  y = y < highest ? y : highest;
  return static_cast<uint8_t>(static_cast<int32_t>((y + kRounder) - kRounder) + row.zero_point);
}

}  // namespace

uint64_t UnmaskRowPortable(const RowToUnmask& row) {
  const uint32_t mask = row.word_bytes == 4 ? 0xFFFFFFFF : 0xFFFFFF;
  uint64_t sum = 0;
  for (size_t w = 0; w < row.num_positions; ++w) {
    field::Wide dot = 0;
    for (size_t c = 0; c < row.channels; ++c) {
      const size_t at = (w * row.channels + c) * row.word_bytes;
      const uint32_t pad = row.pad == nullptr ? 0 : LoadWord(row.pad + at, row.word_bytes);
      const uint32_t lifted = (LoadWord(row.words + at, row.word_bytes) - pad - row.subtract[c]) & mask;
      if (row.order != CheckOrder::kNone) {
        dot += static_cast<field::Wide>(row.s[LaneOf(c)]) * lifted;  // below 2^84
      }
      const float y = FloatOf(row, c, lifted) * row.multiplier[c];
      if (row.q != nullptr) {
        row.q[w * row.channels + c] = Quantize(row, y);
      } else if (c < row.out_channels) {
        row.y[w * row.out_channels + c] = y;
      }
    }
    if (row.order != CheckOrder::kNone) {
      sum = field::Add(sum, field::Multiply(row.t[w], field::Reduce(dot)));
    }
  }
  return sum;
}

void MaxPoolRowPortable(const RowToPool& row) {
  for (int64_t w = 0; w < row.output_width; ++w) {
    uint8_t* const out = row.out + static_cast<size_t>(w) * row.channels;
    std::fill_n(out, row.channels, uint8_t{0});
    for (int64_t k = 0; k < row.kernel; ++k) {
      const int64_t column = w * row.stride - row.pad + k * row.dilation;
      if (column < 0 || column >= row.input_width) {
        continue;
      }
      for (size_t r = 0; r < row.num_rows; ++r) {
        const uint8_t* const in = row.rows[r] + static_cast<size_t>(column) * row.channels;
        for (size_t c = 0; c < row.channels; ++c) {
          out[c] = std::max(out[c], in[c]);
        }
      }
    }
  }
}

}  // namespace shoji::enclave::row_kernels
