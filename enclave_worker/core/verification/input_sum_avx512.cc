// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Compiled for AVX-512: includes nothing inline but intrinsics, so that the linker has nothing to merge.
#include <immintrin.h>

#include "enclave_worker/core/verification/sum_kernels.h"

namespace shoji::enclave::row_kernels {
namespace {

constexpr uint64_t kLow52 = (uint64_t{1} << 52) - 1;

// Channels [4 n, ...) of up to 64, by the 32-bit words that exist.
__mmask16 WordsLeft(size_t channels, size_t begin) {
  const size_t words = (channels - begin) / 4;
  return words >= 16 ? static_cast<__mmask16>(0xFFFF) : static_cast<__mmask16>((1U << words) - 1);
}

// Byte j of dword lane i of the result is position j's byte of one channel. Unpacking works within 128 bits: the low
// half holds channels 16k + 0..7 and the high half channels 16k + 8..15, for k = 0..3.
template <int kHalf>
__m512i Pairs(__m512i a, __m512i b) {
  return kHalf == 0 ? _mm512_unpacklo_epi8(a, b) : _mm512_unpackhi_epi8(a, b);
}

// A whole block is loaded without a mask: a masked load takes three times as long on Zen 4.
template <bool kWhole>
__m512i Load(const uint8_t* at, __mmask16 words) {
  return kWhole ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi32(words, at);
}

template <int kHalf, bool kWhole>
void AddRunToHalf(const uint8_t* q, const LongRun& run, __mmask16 words, const uint32_t* digits,
                  int32_t* accumulators) {
  __m512i sums[2][kNumDigits];
#pragma GCC unroll 14
  for (size_t i = 0; i < 2 * kNumDigits; ++i) {
    sums[i / kNumDigits][i % kNumDigits] = _mm512_load_si512(accumulators + 16 * i);
  }
  for (size_t i = 0; i < run.count; i += kStepPositions, digits += kDigitStride) {
    __m512i at[kStepPositions];
#pragma GCC unroll 4
    for (size_t j = 0; j < kStepPositions; ++j) {
      // Past the end the weight is 0 and any position will do.
      const size_t position = i + j < run.count ? i + j : run.count - 1;
      at[j] = Load<kWhole>(q + position * run.step, words);
    }
    const __m512i first = Pairs<kHalf>(at[0], at[1]);
    const __m512i second = Pairs<kHalf>(at[2], at[3]);
    const __m512i quads[2] = {_mm512_unpacklo_epi16(first, second), _mm512_unpackhi_epi16(first, second)};
#pragma GCC unroll 7
    for (size_t d = 0; d < kNumDigits; ++d) {
      const __m512i weights = _mm512_set1_epi32(static_cast<int>(digits[d]));
      sums[0][d] = _mm512_dpbusd_epi32(sums[0][d], quads[0], weights);
      sums[1][d] = _mm512_dpbusd_epi32(sums[1][d], quads[1], weights);
    }
  }
#pragma GCC unroll 14
  for (size_t i = 0; i < 2 * kNumDigits; ++i) {
    _mm512_store_si512(accumulators + 16 * i, sums[i / kNumDigits][i % kNumDigits]);
  }
}

void AddLongRun(const InputRow& row, const LongRun& run, const uint32_t* digits, int32_t* accumulators) {
  for (size_t c = 0; c < row.channels; c += kBlockChannels, accumulators += kBlockAccumulators) {
    const __mmask16 words = WordsLeft(row.channels, c);
    const uint8_t* const q = row.q + run.first + c;
    int32_t* const upper = accumulators + kBlockAccumulators / 2;
    if (row.channels - c >= kBlockChannels) {
      AddRunToHalf<0, true>(q, run, words, digits, accumulators);
      AddRunToHalf<1, true>(q, run, words, digits, upper);
    } else {
      AddRunToHalf<0, false>(q, run, words, digits, accumulators);
      AddRunToHalf<1, false>(q, run, words, digits, upper);
    }
  }
}

// low + 2^52 high, mod p and below 2^52, for low any number and high below 2^44.
__m512i Fold(__m512i low, __m512i high) {
  const __m512i mask = _mm512_set1_epi64(static_cast<long long>(kLow52));
  const __m512i fold = _mm512_set1_epi64(47);
  high = _mm512_add_epi64(high, _mm512_srli_epi64(low, 52));
  const __m512i once = _mm512_madd52lo_epu64(_mm512_and_si512(low, mask), high, fold);  // < 2^52 + 2^50
  return _mm512_madd52lo_epu64(_mm512_and_si512(once, mask), _mm512_srli_epi64(once, 52), fold);
}

// Channels [begin, end) of one position against their coefficients, then times the position's weight.
void AddChannels(const InputRow& row, const ShortPosition& position, size_t begin, size_t end, __m512i* low,
                 __m512i* high) {
  __m512i dot_low = _mm512_setzero_si512();
  __m512i dot_high = _mm512_setzero_si512();
  const uint8_t* const q = row.q + position.offset;
  size_t c = begin;
  for (; c + 8 <= end; c += 8) {
    const __m512i values = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(q + c)));
    const __m512i coefficients = _mm512_load_si512(position.coefficients + c);
    dot_low = _mm512_madd52lo_epu64(dot_low, coefficients, values);
    dot_high = _mm512_madd52hi_epu64(dot_high, coefficients, values);
  }
  if (c < end) {
    const __m512i values = _mm512_cvtepu8_epi64(_mm_maskz_loadu_epi32(1, q + c));
    const __m512i coefficients = _mm512_load_si512(position.coefficients + c);
    dot_low = _mm512_madd52lo_epu64(dot_low, coefficients, values);
    dot_high = _mm512_madd52hi_epu64(dot_high, coefficients, values);
  }
  const __m512i dot = Fold(dot_low, dot_high);
  const __m512i weight = _mm512_set1_epi64(static_cast<long long>(position.weight));
  *low = _mm512_madd52lo_epu64(*low, dot, weight);
  *high = _mm512_madd52hi_epu64(*high, dot, weight);
}

}  // namespace

size_t ChannelOfAccumulator(size_t half, size_t quarter, size_t lane) {
  return lane / 4 * 16 + half * 8 + quarter * 4 + lane % 4;
}

void AddInputRowAvx512(const InputRow& row) {
  const uint32_t* digits = row.digits;
  int32_t* accumulators = row.accumulators;
  const size_t blocks = (row.channels + kBlockChannels - 1) / kBlockChannels;
  for (size_t i = 0; i < row.num_runs; ++i) {
    AddLongRun(row, row.runs[i], digits, accumulators);
    digits += (row.runs[i].count + kStepPositions - 1) / kStepPositions * kDigitStride;
    accumulators += blocks * kBlockAccumulators;
  }
  if (row.num_positions == 0) {
    return;
  }
  __m512i low = _mm512_loadu_si512(row.low);
  __m512i high = _mm512_loadu_si512(row.high);
  // 8 * 2048 channels at a time: so many products fit in a lane.
  constexpr size_t kMaxChannels = 8 * 2048;
  for (size_t i = 0; i < row.num_positions; ++i) {
    for (size_t c = 0; c < row.channels; c += kMaxChannels) {
      const size_t end = row.channels - c < kMaxChannels ? row.channels : c + kMaxChannels;
      AddChannels(row, row.positions[i], c, end, &low, &high);
    }
  }
  _mm512_storeu_si512(row.low, low);
  _mm512_storeu_si512(row.high, high);
}

}  // namespace shoji::enclave::row_kernels
