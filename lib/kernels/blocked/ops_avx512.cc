// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The loops for AVX-512.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "lib/kernels/blocked/ops.h"

#define SHOJI_BLOCKED_OPS OpsAvx512
#define SHOJI_BLOCKED_LANES 16
#define SHOJI_BLOCKED_TILES 13
#include "lib/kernels/blocked/ops.inc"
