// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <immintrin.h>

#include "lib/quantization/byte_kernels.h"

namespace shoji::quantization {
namespace {

#include "lib/quantization/byte_loops.inc"

// The table in four registers: two permutes look up the halves, the top bit of the index chooses.
void LookUp(const uint8_t* x, size_t count, const uint8_t* table, uint8_t* y) {
  const __m512i t0 = _mm512_loadu_si512(table);
  const __m512i t1 = _mm512_loadu_si512(table + 64);
  const __m512i t2 = _mm512_loadu_si512(table + 128);
  const __m512i t3 = _mm512_loadu_si512(table + 192);
  for (size_t at = 0; at < count; at += 64) {
    const size_t n = count - at;
    const __mmask64 valid = n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1;
    const __m512i index = _mm512_maskz_loadu_epi8(valid, x + at);
    const __m512i low = _mm512_permutex2var_epi8(t0, index, t1);
    const __m512i high = _mm512_permutex2var_epi8(t2, index, t3);
    _mm512_mask_storeu_epi8(y + at, valid, _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
  }
}

}  // namespace

const ByteKernels kAvx512ByteKernels = {RequantizeWords, Affine,         LookUp,        Add,
                                        Multiply,        MaxPool,        AddPixels,     Average,
                                        QuantizeRow,     QuantizePlanes, DequantizeRow, DequantizePlanes};

}  // namespace shoji::quantization
