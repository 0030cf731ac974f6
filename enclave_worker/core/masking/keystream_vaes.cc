// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Compiled for VAES and AVX-512: includes nothing inline but intrinsics, so that the linker has nothing to merge.
#include <immintrin.h>

#include "enclave_worker/core/masking/keystream.h"

namespace shoji::enclave::row_kernels {
namespace {

// So that states stay in registers from round to round; GCC would call, and store each one every time.
#define ALWAYS_INLINE inline __attribute__((always_inline))

constexpr size_t kRounds = 14;
constexpr size_t kVector = 64;
constexpr size_t kBlocksPerVector = 4;

// The next two round keys from the two before (FIPS 197, section 5.2): `assisted` is AESKEYGENASSIST of the later one.
__m128i Mix(__m128i key, __m128i assisted) {
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, assisted);
}
template <int kRoundConstant>
void ExpandTwo(__m128i& even, __m128i& odd, RoundKeys* out, size_t at) {
  even = Mix(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, kRoundConstant), 0xFF));
  _mm_store_si128(reinterpret_cast<__m128i*>(out->bytes[at]), even);
  if (at < kRounds) {
    odd = Mix(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xAA));
    _mm_store_si128(reinterpret_cast<__m128i*>(out->bytes[at + 1]), odd);
  }
}

struct Cipher {
  __m512i keys[kRounds + 1];
  __m512i swap;  // each 64-bit number to big-endian
};

ALWAYS_INLINE Cipher Load(const RoundKeys& keys) {
  Cipher cipher;  // NOLINT(cppcoreguidelines-pro-type-member-init): all of it is set below
#pragma GCC unroll 16
  for (size_t i = 0; i <= kRounds; ++i) {
    cipher.keys[i] = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(keys.bytes[i])));
  }
  cipher.swap = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  return cipher;
}

// Counter blocks low ... low + 3; only the low half counts, as no layer has 2^64 blocks.
__m512i CounterBlocks(Counter counter) {
  const __m512i first = _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0);
  const auto high = static_cast<long long>(counter.high);
  const auto low = static_cast<long long>(counter.low);
  return _mm512_add_epi64(first, _mm512_set_epi64(low, high, low, high, low, high, low, high));
}
__m512i Advance(__m512i blocks, size_t vectors) {
  const auto by = static_cast<long long>(vectors) * static_cast<long long>(kBlocksPerVector);
  return _mm512_add_epi64(blocks, _mm512_set_epi64(by, 0, by, 0, by, 0, by, 0));
}

// Encrypts kCount vectors of counter blocks side by side, so that the rounds' latency is hidden.
template <size_t kCount>
ALWAYS_INLINE void Encrypt(const Cipher& cipher, __m512i (&state)[kCount]) {
#pragma GCC unroll 8
  for (size_t i = 0; i < kCount; ++i) {
    state[i] = _mm512_xor_si512(_mm512_shuffle_epi8(state[i], cipher.swap), cipher.keys[0]);
  }
#pragma GCC unroll 16
  for (size_t r = 1; r < kRounds; ++r) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kCount; ++i) {
      state[i] = _mm512_aesenc_epi128(state[i], cipher.keys[r]);
    }
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < kCount; ++i) {
    state[i] = _mm512_aesenclast_epi128(state[i], cipher.keys[kRounds]);
  }
}

__mmask64 FirstBytes(size_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }

// Adds q - z to the numbers whose byte l is random[l]. Sign-extended, q - z has low byte (q - z) mod 256 and all other
// bytes 0 or 255; together with the carry, what is added to a higher byte is -1, 0 or 1.
template <size_t kLimbs>
ALWAYS_INLINE void Add(__m512i q, __mmask64 valid, __m512i zero_point, const __m512i* random, __m512i* out) {
  const __m512i low = _mm512_maskz_sub_epi8(valid, q, zero_point);
  const __mmask64 negative = _mm512_mask_cmplt_epu8_mask(valid, q, zero_point);
  out[0] = _mm512_add_epi8(random[0], low);
  const __mmask64 carry = _mm512_cmplt_epu8_mask(out[0], low);
  __mmask64 up = _kandn_mask64(negative, carry);
  __mmask64 down = _kandn_mask64(carry, negative);
  const __m512i ones = _mm512_set1_epi8(-1);
#pragma GCC unroll 3
  for (size_t l = 1; l < kLimbs; ++l) {
    const __m512i raised = _mm512_mask_sub_epi8(random[l], up, random[l], ones);
    out[l] = _mm512_mask_add_epi8(raised, down, raised, ones);
    if (l + 1 < kLimbs) {
      up = _mm512_mask_cmpeq_epi8_mask(up, random[l], ones);
      down = _mm512_mask_testn_epi8_mask(down, random[l], random[l]);
    }
  }
}

// Up to 64 bytes. A masked load takes three times as long on Zen 4.
ALWAYS_INLINE __m512i LoadBytes(const uint8_t* at, size_t n) {
  return n >= kVector ? _mm512_loadu_si512(at) : _mm512_maskz_loadu_epi8(FirstBytes(n), at);
}

// kChunks vectors of positions, all limbs of each. With kStream, past the caches: a masked row is not read again here,
// and a whole line that is written needs not be fetched first.
template <size_t kLimbs, size_t kChunks, bool kStream>
ALWAYS_INLINE void MaskChunks(const Cipher& cipher, __m512i blocks, const RowToMask& row, size_t at, uint8_t* out) {
  __m512i state[kLimbs * kChunks];
  const size_t vectors_per_plane = row.plane / kVector;
#pragma GCC unroll 8
  for (size_t l = 0; l < kLimbs; ++l) {
#pragma GCC unroll 2
    for (size_t c = 0; c < kChunks; ++c) {
      state[c * kLimbs + l] = Advance(blocks, l * vectors_per_plane + c);
    }
  }
  Encrypt(cipher, state);
  const __m512i zero_point = _mm512_set1_epi8(static_cast<char>(row.zero_point));
#pragma GCC unroll 2
  for (size_t c = 0; c < kChunks; ++c) {
    const size_t begin = at + c * kVector;
    const __mmask64 valid = FirstBytes(row.size - begin);
    __m512i sums[kLimbs];
    Add<kLimbs>(LoadBytes(row.q + begin, row.size - begin), valid, zero_point, state + c * kLimbs, sums);
#pragma GCC unroll 4
    for (size_t l = 0; l < kLimbs; ++l) {
      if constexpr (kStream) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(out + l * row.plane + begin), sums[l]);
      } else {
        _mm512_storeu_si512(out + l * row.plane + begin, sums[l]);
      }
    }
  }
}

template <size_t kLimbs, bool kStream>
void MaskRow(const RoundKeys& keys, Counter counter, const RowToMask& row, uint8_t* out) {
  const Cipher cipher = Load(keys);
  __m512i blocks = CounterBlocks(counter);
  size_t at = 0;
  for (; at + 2 * kVector <= row.plane; at += 2 * kVector) {
    MaskChunks<kLimbs, 2, kStream>(cipher, blocks, row, at, out);
    blocks = Advance(blocks, 2);
  }
  if (at < row.plane) {
    MaskChunks<kLimbs, 1, kStream>(cipher, blocks, row, at, out);
  }
}

}  // namespace

void ExpandKeyVaes(const uint8_t* key, RoundKeys* out) {
  __m128i even = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  __m128i odd = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key + 16));
  _mm_store_si128(reinterpret_cast<__m128i*>(out->bytes[0]), even);
  _mm_store_si128(reinterpret_cast<__m128i*>(out->bytes[1]), odd);
  ExpandTwo<0x01>(even, odd, out, 2);
  ExpandTwo<0x02>(even, odd, out, 4);
  ExpandTwo<0x04>(even, odd, out, 6);
  ExpandTwo<0x08>(even, odd, out, 8);
  ExpandTwo<0x10>(even, odd, out, 10);
  ExpandTwo<0x20>(even, odd, out, 12);
  ExpandTwo<0x40>(even, odd, out, 14);
}

void FillKeystreamVaes(const RoundKeys& keys, Counter counter, uint8_t* out, size_t size) {
  constexpr size_t kCount = 8;
  const Cipher cipher = Load(keys);
  __m512i blocks = CounterBlocks(counter);
  for (size_t at = 0; at < size; at += kCount * kVector, blocks = Advance(blocks, kCount)) {
    __m512i state[kCount];
#pragma GCC unroll 8
    for (size_t i = 0; i < kCount; ++i) {
      state[i] = Advance(blocks, i);
    }
    Encrypt(cipher, state);
#pragma GCC unroll 8
    for (size_t i = 0; i < kCount; ++i) {
      const size_t begin = at + i * kVector;
      if (begin + kVector <= size) {
        _mm512_storeu_si512(out + begin, state[i]);
      } else if (begin < size) {
        _mm512_mask_storeu_epi8(out + begin, FirstBytes(size - begin), state[i]);
      }
    }
  }
}

void AddToKeystreamAvx512(const RowToMask& row, uint8_t* limbs) {
  const __m512i zero_point = _mm512_set1_epi8(static_cast<char>(row.zero_point));
  for (size_t at = 0; at < row.size; at += kVector) {
    const __mmask64 valid = FirstBytes(row.size - at);
    const __m512i q = LoadBytes(row.q + at, row.size - at);
    __m512i random[4];
    __m512i sums[4];
    for (size_t l = 0; l < row.num_limbs; ++l) {
      random[l] = _mm512_loadu_si512(limbs + l * row.plane + at);
    }
    if (row.num_limbs == 3) {
      Add<3>(q, valid, zero_point, random, sums);
    } else {
      Add<4>(q, valid, zero_point, random, sums);
    }
    for (size_t l = 0; l < row.num_limbs; ++l) {
      _mm512_storeu_si512(limbs + l * row.plane + at, sums[l]);
    }
  }
}

void MaskRowVaes(const RoundKeys& keys, Counter counter, const RowToMask& row, uint8_t* out) {
  if (reinterpret_cast<uintptr_t>(out) % kVector != 0) {
    row.num_limbs == 3 ? MaskRow<3, false>(keys, counter, row, out) : MaskRow<4, false>(keys, counter, row, out);
    return;
  }
  row.num_limbs == 3 ? MaskRow<3, true>(keys, counter, row, out) : MaskRow<4, true>(keys, counter, row, out);
  _mm_sfence();  // whoever is told of the row next sees it
}

}  // namespace shoji::enclave::row_kernels
