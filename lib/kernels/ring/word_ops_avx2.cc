// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The loops on words for AVX2.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "lib/kernels/ring/ops.h"

#define SHOJI_WORD_OPS WordOpsAvx2
#define SHOJI_WORD_LANES 8
#define SHOJI_WORD_PIXELS 6
#define SHOJI_WORD_VECTORS 2
#include "lib/kernels/ring/word_ops.inc"
