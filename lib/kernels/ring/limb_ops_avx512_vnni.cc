// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The loops on limbs for AVX-512 with VNNI. vpdpbusd adds four products of an unsigned and a signed byte to a 32-bit
// sum; it neither saturates nor rounds, so the sum is exact in Z_2^32. A ring element is the polynomial of its limbs in
// 2^8, and W * u follows by Horner's rule in the registers that hold the sums: from the highest limb down, shift the
// sum by 8 bits, add the limb's products. What the shift pushes out is what the ring drops.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "lib/kernels/ring/ops.h"

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 takes what its own AVX-512 intrinsics leave undefined for a mistake of the caller.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace shoji::kernels::ring {
namespace {

constexpr size_t kLanes = 16;
constexpr size_t kPanelStep = 4 * kLanes;  // bytes of the weights of one vector and step
constexpr size_t kPixels = 14;
constexpr size_t kVectors = 2;
constexpr size_t kNarrowPixels = 7;
constexpr size_t kNarrowVectors = 4;
// Dense layers read their weights from memory, past the ends of pages, where the CPU's own prefetching stops.
constexpr size_t kStreamAhead = 8192;

void Load(const LoadArgs& a) {
  for (size_t limb = 0; limb < a.num_limbs; ++limb) {
    uint8_t* out = a.out + limb * a.out_limb_bytes;
    __builtin_memset(out, a.padding, a.left);
    if (a.middle != 0) {
      __builtin_memcpy(out + a.left, a.limbs + limb * a.plane_bytes, a.middle);
    }
    __builtin_memset(out + a.left + a.middle, a.padding, a.right);
  }
}

// The first `count` of 16 words, of 4 bytes or of their low 3, to exactly as many bytes.
inline void Store(__m512i words, size_t count, size_t word_bytes, uint8_t* out) {
  if (word_bytes == 4) {
    if (count >= kLanes) {
      _mm512_storeu_si512(out, words);
    } else {
      _mm512_mask_storeu_epi32(out, static_cast<__mmask16>((1U << count) - 1U), words);
    }
    return;
  }
  // Within each quarter of 4 words 12 bytes move together, then the quarters do.
  const __m512i pack = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  const __m512i join = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15);
  const __m512i bytes = _mm512_permutexvar_epi32(join, _mm512_shuffle_epi8(words, pack));
  if (count >= kLanes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_castsi512_si256(bytes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 32), _mm512_extracti32x4_epi32(bytes, 2));
  } else {
    _mm512_mask_storeu_epi8(out, (__mmask64{1} << (3 * count)) - 1U, bytes);
  }
}

// Adds the products of `steps` steps of one tap and limb. Fetches weights kAhead bytes early, if not 0.
template <size_t kP, size_t kV, size_t kAhead>
inline __attribute__((always_inline)) void Accumulate(const uint8_t* x, size_t pixel_bytes, size_t steps,
                                                      const int8_t* weights, __m512i (&sums)[kP][kV]) {
  for (size_t step = 0; step < steps; ++step, x += 4, weights += kV * kPanelStep) {
    __m512i w[kV];
#pragma GCC unroll 8
    for (size_t v = 0; v < kV; ++v) {
      w[v] = _mm512_load_si512(weights + v * kPanelStep);
      if constexpr (kAhead != 0) {
        _mm_prefetch(reinterpret_cast<const char*>(weights + v * kPanelStep + kAhead), _MM_HINT_T0);
      }
    }
#pragma GCC unroll 16
    for (size_t p = 0; p < kP; ++p) {
      int32_t four = 0;
      __builtin_memcpy(&four, x + p * pixel_bytes, sizeof(four));
      const __m512i bytes = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (size_t v = 0; v < kV; ++v) {
        sums[p][v] = _mm512_dpbusd_epi32(sums[p][v], bytes, w[v]);
      }
    }
  }
}

template <size_t kP, size_t kV>
void TileOf(const TileArgs& a) {
  __m512i sums[kP][kV];
#pragma GCC unroll 16
  for (size_t p = 0; p < kP; ++p) {
#pragma GCC unroll 8
    for (size_t v = 0; v < kV; ++v) {
      sums[p][v] = _mm512_setzero_si512();
    }
  }
  for (size_t limb = a.num_limbs; limb-- > 0;) {
#pragma GCC unroll 16
    for (size_t p = 0; p < kP; ++p) {
#pragma GCC unroll 8
      for (size_t v = 0; v < kV; ++v) {
        sums[p][v] = _mm512_slli_epi32(sums[p][v], 8);
      }
    }
    const int8_t* weights = a.weights;
    for (size_t row = 0; row < a.kernel_rows; ++row) {
      const uint8_t* x = a.rows[row] + a.offset + limb * a.limb_bytes;
      for (size_t tap = 0; tap < a.taps; ++tap) {
        Accumulate<kP, kV, kP == 1 ? kStreamAhead : 0>(x, a.pixel_bytes, a.steps, weights, sums);
        x += a.tap_bytes;
        weights += a.steps * kV * kPanelStep;
      }
    }
  }
#pragma GCC unroll 16
  for (size_t p = 0; p < kP; ++p) {
#pragma GCC unroll 8
    for (size_t v = 0; v < kV; ++v) {
      Store(sums[p][v], a.channels - v * kLanes, a.word_bytes,
            a.words + p * a.pixel_words_bytes + v * kLanes * a.word_bytes);
    }
  }
}

// One position. The limbs take the place of positions, each with sums of its own: every weight is read once, which is
// what a dense layer's time goes to.
template <size_t kL, size_t kV>
void TileOfLimbs(const TileArgs& a) {
  __m512i sums[kL][kV];
#pragma GCC unroll 4
  for (size_t limb = 0; limb < kL; ++limb) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kV; ++v) {
      sums[limb][v] = _mm512_setzero_si512();
    }
  }
  const int8_t* weights = a.weights;
  for (size_t row = 0; row < a.kernel_rows; ++row) {
    for (size_t tap = 0; tap < a.taps; ++tap) {
      Accumulate<kL, kV, kStreamAhead>(a.rows[row] + a.offset + tap * a.tap_bytes, a.limb_bytes, a.steps, weights,
                                       sums);
      weights += a.steps * kV * kPanelStep;
    }
  }
#pragma GCC unroll 4
  for (size_t v = 0; v < kV; ++v) {
    __m512i sum = sums[kL - 1][v];
#pragma GCC unroll 4
    for (size_t below = 2; below <= kL; ++below) {
      sum = _mm512_add_epi32(_mm512_slli_epi32(sum, 8), sums[kL - below][v]);
    }
    Store(sum, a.channels - v * kLanes, a.word_bytes, a.words + v * kLanes * a.word_bytes);
  }
}

template <size_t kL>
void TileOfLimbs(const TileArgs& a) {
  switch (a.vectors) {
    case 1:
      return TileOfLimbs<kL, 1>(a);
    case 2:
      return TileOfLimbs<kL, 2>(a);
    case 3:
      return TileOfLimbs<kL, 3>(a);
    default:
      return TileOfLimbs<kL, 4>(a);
  }
}

template <size_t kP>
void TileOfVectors(const TileArgs& a) {
  if constexpr (kP <= kNarrowPixels) {
    if (a.vectors == 4) {
      return TileOf<kP, 4>(a);
    }
    if (a.vectors == 3) {
      return TileOf<kP, 3>(a);
    }
  }
  if (a.vectors == 2) {
    return TileOf<kP, 2>(a);
  }
  TileOf<kP, 1>(a);
}

template <size_t kP>
void TileOfPixels(const TileArgs& a) {
  if constexpr (kP > 1) {
    if (a.pixels < kP) {
      return TileOfPixels<kP - 1>(a);
    }
  }
  TileOfVectors<kP>(a);
}

void Tile(const TileArgs& a) {
  if (a.pixels == 1 && a.num_limbs == 3) {
    return TileOfLimbs<3>(a);
  }
  if (a.pixels == 1 && a.num_limbs == 4) {
    return TileOfLimbs<4>(a);
  }
  TileOfPixels<kPixels>(a);
}

constexpr Ops kLimbOps = {1, 4, 1, kLanes, kPixels, kVectors, kNarrowPixels, kNarrowVectors, &Load, &Tile, nullptr};

}  // namespace

const Ops& LimbOpsAvx512Vnni() { return kLimbOps; }

}  // namespace shoji::kernels::ring
