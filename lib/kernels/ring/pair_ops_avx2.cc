// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The loops on pairs for AVX2.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "lib/kernels/ring/ops.h"

#define SHOJI_PAIR_OPS PairOpsAvx2
#define SHOJI_WORD_LANES 8
#include "lib/kernels/ring/pair_ops.inc"
