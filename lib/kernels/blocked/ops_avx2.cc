// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The loops for AVX2 and FMA.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "lib/kernels/blocked/ops.h"

#define SHOJI_BLOCKED_OPS OpsAvx2
#define SHOJI_BLOCKED_LANES 8
#define SHOJI_BLOCKED_TILES 6
#include "lib/kernels/blocked/ops.inc"
