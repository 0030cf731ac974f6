// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Compiled for AVX-512: includes nothing inline but intrinsics, so that the linker has nothing to merge.
#include <immintrin.h>

#include "enclave_worker/core/masking/codec_kernels.h"

namespace shoji::enclave::row_kernels {
namespace {

// So that sums and constants stay in registers; GCC would call some of these, and spill around the call.
#define ALWAYS_INLINE inline __attribute__((always_inline))

constexpr size_t kGroup = 16;  // channels of one vector
constexpr size_t kBlock = 64;  // channels whose bytes fill one vector
constexpr uint64_t kLow52 = (uint64_t{1} << 52) - 1;

enum class Output : uint8_t { kBytes, kFloats };
enum class Pad : uint8_t { kNone, kWords };

// What is the same for all positions of a row: a copy of `RowToUnmask` that no pointer leads to, so that the compiler
// need not read it again after every store, and constants.
struct Row : RowToUnmask {
  __m512i zero_point_16;  // 16 bits each
  __m512i min;            // bytes
  __m512i max;
};
ALWAYS_INLINE Row MakeRow(const RowToUnmask& in) {
  return {in, _mm512_set1_epi16(static_cast<short>(in.zero_point)), _mm512_set1_epi8(static_cast<char>(in.min)),
          _mm512_set1_epi8(static_cast<char>(in.max))};
}

// The words of `channels` channels, in 32-bit lanes (3-byte words with anything in the top byte). Each is loaded here
// and only here: after the barrier the compiler cannot load it again. Whole vectors are loaded without a mask, and 48
// bytes in two parts: a masked load takes three times as long on Zen 4.
template <size_t kWordBytes>
ALWAYS_INLINE __m512i LoadWords(const uint8_t* at, size_t channels) {
  __m512i words;
  if constexpr (kWordBytes == 3) {
    // Where the hardware's prefetching stops at 4 KiB, this goes on. Any address will do.
    _mm_prefetch(at + 4096, _MM_HINT_T0);
  }
  if (__builtin_constant_p(channels == kGroup) && channels == kGroup) {
    if constexpr (kWordBytes == 4) {
      words = _mm512_loadu_si512(at);
    } else {
      const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 32));
      words = _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm256_castsi128_si256(high), 1);
    }
  } else {
    words = _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1U << (channels * kWordBytes / 4)) - 1), at);
  }
  asm volatile("" : "+v"(words));
  if constexpr (kWordBytes == 3) {
    const __m512i spread =
        _mm512_set_epi8(47, 47, 46, 45, 44, 44, 43, 42, 41, 41, 40, 39, 38, 38, 37, 36, 35, 35, 34, 33, 32, 32, 31, 30,
                        29, 29, 28, 27, 26, 26, 25, 24, 23, 23, 22, 21, 20, 20, 19, 18, 17, 17, 16, 15, 14, 14, 13, 12,
                        11, 11, 10, 9, 8, 8, 7, 6, 5, 5, 4, 3, 2, 2, 1, 0);
    words = _mm512_permutexvar_epi8(spread, words);
  }
  return words;
}

// a' of `channels` channels from `channel` on, whose words lie `at` bytes into the row.
template <size_t kWordBytes, Pad kPad>
ALWAYS_INLINE __m512i Unmask(const Row& row, size_t at, size_t channels, size_t channel) {
  __m512i lifted = LoadWords<kWordBytes>(row.words + at, channels);
  if constexpr (kPad == Pad::kWords) {
    lifted = _mm512_sub_epi32(lifted, LoadWords<kWordBytes>(row.pad + at, channels));
  }
  lifted = _mm512_sub_epi32(lifted, _mm512_load_si512(row.subtract + channel));
  return kWordBytes == 3 ? _mm512_and_si512(lifted, _mm512_set1_epi32(0xFFFFFF)) : lifted;
}

// The bytes of 64 channels. Every step saturates towards the right side, so the clamp at the end is exact.
ALWAYS_INLINE __m512i Pack(const Row& row, const __m512i (&rounded)[4]) {
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(rounded[0], rounded[1]), row.zero_point_16);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(rounded[2], rounded[3]), row.zero_point_16);
  // Undoes what packing within 128 bits does.
  const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high));
  return _mm512_min_epu8(_mm512_max_epu8(bytes, row.min), row.max);
}

// The bytes of `channels` channels, a multiple of 4.
ALWAYS_INLINE void StoreBytes(uint8_t* q, size_t channels, __m512i bytes) {
  if (__builtin_constant_p(channels == 64) && channels == 64) {
    _mm512_storeu_si512(q, bytes);
  } else if (__builtin_constant_p(channels == 32) && channels == 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), _mm512_castsi512_si256(bytes));
  } else if (__builtin_constant_p(channels == 16) && channels == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm512_castsi512_si128(bytes));
  } else {
    _mm512_mask_storeu_epi32(q, static_cast<__mmask16>((1U << (channels / 4)) - 1), bytes);
  }
}

ALWAYS_INLINE void StoreFloats(const Row& row, size_t position, size_t channel, __m512 y) {
  const size_t left = row.out_channels > channel ? row.out_channels - channel : 0;
  const auto mask = left >= kGroup ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << left) - 1);
  _mm512_mask_storeu_ps(row.y + position * row.out_channels + (left == 0 ? 0 : channel), mask, y);
}

// Sums of 52-bit halves of products, of even and odd channels apart: a 64-bit lane holds the even channel's 32 bits
// below the odd one's.
struct Products {
  __m512i low_even, high_even, low_odd, high_odd;
};
ALWAYS_INLINE Products Zero() {
  const __m512i zero = _mm512_setzero_si512();
  return {zero, zero, zero, zero};
}
ALWAYS_INLINE void Accumulate(Products& sums, __m512i lifted, __m512i even_factor, __m512i odd_factor) {
  const __m512i even = _mm512_and_si512(lifted, _mm512_set1_epi64(0xFFFFFFFF));
  const __m512i odd = _mm512_srli_epi64(lifted, 32);
  sums.low_even = _mm512_madd52lo_epu64(sums.low_even, even, even_factor);
  sums.high_even = _mm512_madd52hi_epu64(sums.high_even, even, even_factor);
  sums.low_odd = _mm512_madd52lo_epu64(sums.low_odd, odd, odd_factor);
  sums.high_odd = _mm512_madd52hi_epu64(sums.high_odd, odd, odd_factor);
}

// low + 2^52 high, mod p and below 2^52, for low any number and high below 2^44.
ALWAYS_INLINE __m512i Fold(__m512i low, __m512i high) {
  const __m512i mask = _mm512_set1_epi64(static_cast<long long>(kLow52));
  const __m512i fold = _mm512_set1_epi64(47);
  high = _mm512_add_epi64(high, _mm512_srli_epi64(low, 52));
  const __m512i once = _mm512_madd52lo_epu64(_mm512_and_si512(low, mask), high, fold);  // < 2^52 + 2^50
  return _mm512_madd52lo_epu64(_mm512_and_si512(once, mask), _mm512_srli_epi64(once, 52), fold);
}

// kGroups vectors of channels from `channel` on, at one position; of the last vector `last` channels exist.
// `use(channel, a')` sees every vector.
template <size_t kWordBytes, Pad kPad, Output kOutput, size_t kGroups, typename Use>
ALWAYS_INLINE void UnmaskBlock(const Row& row, size_t position, size_t channel, size_t last, const Use& use) {
  __m512i rounded[4];
#pragma GCC unroll 4
  for (size_t g = 0; g < 4; ++g) {
    if (g >= kGroups) {
      rounded[g] = _mm512_setzero_si512();
      continue;
    }
    const size_t c = channel + g * kGroup;
    const __m512i lifted =
        Unmask<kWordBytes, kPad>(row, (position * row.channels + c) * kWordBytes, g + 1 < kGroups ? kGroup : last, c);
    use(c, lifted);
    const __m512i sum = _mm512_add_epi32(lifted, _mm512_load_si512(row.add + c));
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_load_ps(row.multiplier + c));
    if constexpr (kOutput == Output::kFloats) {
      StoreFloats(row, position, c, y);
    }
    rounded[g] = _mm512_cvtps_epi32(y);
  }
  if constexpr (kOutput == Output::kBytes) {
    StoreBytes(row.q + position * row.channels + channel, (kGroups - 1) * kGroup + last, Pack(row, rounded));
  }
}

// All channels' sums over positions stay in registers. `last`: channels of the last vector.
template <size_t kWordBytes, Pad kPad, Output kOutput, size_t kGroups>
ALWAYS_INLINE void PositionsFirst(const RowToUnmask& in, size_t last) {
  const Row row = MakeRow(in);
  Products sums[kGroups];
#pragma GCC unroll 4
  for (size_t g = 0; g < kGroups; ++g) {
    sums[g] = {_mm512_load_si512(row.low + 16 * g), _mm512_load_si512(row.high + 16 * g),
               _mm512_load_si512(row.low + 16 * g + 8), _mm512_load_si512(row.high + 16 * g + 8)};
  }
  for (size_t w = 0; w < row.num_positions; ++w) {
    const __m512i t = _mm512_set1_epi64(static_cast<long long>(row.t[w]));
    UnmaskBlock<kWordBytes, kPad, kOutput, kGroups>(
        row, w, 0, last, [&](size_t c, __m512i lifted) __attribute__((always_inline)) {
          Accumulate(sums[c / kGroup], lifted, t, t);
        });
  }
#pragma GCC unroll 4
  for (size_t g = 0; g < kGroups; ++g) {
    _mm512_store_si512(row.low + 16 * g, sums[g].low_even);
    _mm512_store_si512(row.high + 16 * g, sums[g].high_even);
    _mm512_store_si512(row.low + 16 * g + 8, sums[g].low_odd);
    _mm512_store_si512(row.high + 16 * g + 8, sums[g].high_odd);
  }
}

// Channels [begin, end) of one position.
template <size_t kWordBytes, Pad kPad, Output kOutput, typename Use>
ALWAYS_INLINE void UnmaskChannels(const Row& row, size_t position, size_t begin, size_t end, const Use& use) {
  size_t c = begin;
  for (; c + kBlock <= end; c += kBlock) {
    UnmaskBlock<kWordBytes, kPad, kOutput, 4>(row, position, c, kGroup, use);
  }
  for (; c + kGroup <= end; c += kGroup) {
    UnmaskBlock<kWordBytes, kPad, kOutput, 1>(row, position, c, kGroup, use);
  }
  if (c < end) {
    UnmaskBlock<kWordBytes, kPad, kOutput, 1>(row, position, c, end - c, use);
  }
}

// Each position's sum over channels, in 8 lanes, then times the position's weight.
template <size_t kWordBytes, Pad kPad, Output kOutput>
void ChannelsFirst(const RowToUnmask& in) {
  const Row row = MakeRow(in);
  __m512i low = _mm512_load_si512(row.low);
  __m512i high = _mm512_load_si512(row.high);
  for (size_t w = 0; w < row.num_positions; ++w) {
    const __m512i t = _mm512_set1_epi64(static_cast<long long>(row.t[w]));
    for (size_t begin = 0; begin < row.channels; begin += kMaxChannelsFirst) {
      const size_t end = row.channels - begin < kMaxChannelsFirst ? row.channels : begin + kMaxChannelsFirst;
      Products dot = Zero();
      UnmaskChannels<kWordBytes, kPad, kOutput>(
          row, w, begin, end, [&](size_t c, __m512i lifted) __attribute__((always_inline)) {
            Accumulate(dot, lifted, _mm512_load_si512(row.s + c), _mm512_load_si512(row.s + c + 8));
          });
      const __m512i sum =
          Fold(_mm512_add_epi64(dot.low_even, dot.low_odd), _mm512_add_epi64(dot.high_even, dot.high_odd));
      low = _mm512_madd52lo_epu64(low, sum, t);
      high = _mm512_madd52hi_epu64(high, sum, t);
    }
  }
  _mm512_store_si512(row.low, low);
  _mm512_store_si512(row.high, high);
}

template <size_t kWordBytes, Pad kPad, Output kOutput>
void Unchecked(const RowToUnmask& in) {
  const Row row = MakeRow(in);
  for (size_t w = 0; w < row.num_positions; ++w) {
    UnmaskChannels<kWordBytes, kPad, kOutput>(row, w, 0, row.channels,
                                              [](size_t, __m512i) __attribute__((always_inline)){});
  }
}

template <size_t kWordBytes, Pad kPad, Output kOutput, size_t kGroups>
void PositionsFirstOf(const RowToUnmask& row) {
  const size_t last = row.channels - (kGroups - 1) * kGroup;
  if (last == kGroup) {
    PositionsFirst<kWordBytes, kPad, kOutput, kGroups>(row, kGroup);
  } else {
    PositionsFirst<kWordBytes, kPad, kOutput, kGroups>(row, last);
  }
}

template <size_t kWordBytes, Pad kPad, Output kOutput>
void UnmaskRow(const RowToUnmask& row) {
  if (row.order == CheckOrder::kNone) {
    Unchecked<kWordBytes, kPad, kOutput>(row);
  } else if (row.order == CheckOrder::kChannelsFirst) {
    ChannelsFirst<kWordBytes, kPad, kOutput>(row);
  } else if (row.channels > 48) {
    PositionsFirstOf<kWordBytes, kPad, kOutput, 4>(row);
  } else if (row.channels > 32) {
    PositionsFirstOf<kWordBytes, kPad, kOutput, 3>(row);
  } else if (row.channels > 16) {
    PositionsFirstOf<kWordBytes, kPad, kOutput, 2>(row);
  } else {
    PositionsFirstOf<kWordBytes, kPad, kOutput, 1>(row);
  }
}

template <size_t kWordBytes, Pad kPad>
void UnmaskRow(const RowToUnmask& row) {
  row.q != nullptr ? UnmaskRow<kWordBytes, kPad, Output::kBytes>(row)
                   : UnmaskRow<kWordBytes, kPad, Output::kFloats>(row);
}

// `channels` channels, at most 64, of one window.
ALWAYS_INLINE void PoolBlock(const RowToPool& row, int64_t w, size_t c, size_t channels) {
  const bool whole = __builtin_constant_p(channels == kBlock) && channels == kBlock;
  const auto mask = static_cast<__mmask16>((1U << (channels / 4)) - 1);
  __m512i most = _mm512_setzero_si512();
  for (int64_t k = 0; k < row.kernel; ++k) {
    const int64_t column = w * row.stride - row.pad + k * row.dilation;
    if (column < 0 || column >= row.input_width) {
      continue;
    }
    const size_t at = static_cast<size_t>(column) * row.channels + c;
    for (size_t r = 0; r < row.num_rows; ++r) {
      const __m512i bytes =
          whole ? _mm512_loadu_si512(row.rows[r] + at) : _mm512_maskz_loadu_epi32(mask, row.rows[r] + at);
      most = _mm512_max_epu8(most, bytes);
    }
  }
  StoreBytes(row.out + static_cast<size_t>(w) * row.channels + c, channels, most);
}

}  // namespace

void UnmaskRowAvx512(const RowToUnmask& row) {
  if (row.word_bytes == 3) {
    row.pad != nullptr ? UnmaskRow<3, Pad::kWords>(row) : UnmaskRow<3, Pad::kNone>(row);
  } else {
    row.pad != nullptr ? UnmaskRow<4, Pad::kWords>(row) : UnmaskRow<4, Pad::kNone>(row);
  }
}

void MaxPoolRowAvx512(const RowToPool& in) {
  const RowToPool row = in;
  for (int64_t w = 0; w < row.output_width; ++w) {
    size_t c = 0;
    for (; c + kBlock <= row.channels; c += kBlock) {
      PoolBlock(row, w, c, kBlock);
    }
    if (c < row.channels) {
      PoolBlock(row, w, c, row.channels - c);
    }
  }
}

}  // namespace shoji::enclave::row_kernels
