// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The loops on words for AVX-512.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "lib/kernels/ring/ops.h"

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 takes what its own AVX-512 intrinsics leave undefined for a mistake of the caller.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define SHOJI_WORD_OPS WordOpsAvx512
#define SHOJI_WORD_LANES 16
#define SHOJI_WORD_PIXELS 12
#define SHOJI_WORD_VECTORS 2
#include "lib/kernels/ring/word_ops.inc"
