// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The loops on pairs for any CPU: SSE2.
#include <emmintrin.h>

#include <cstddef>
#include <cstdint>

#include "lib/kernels/ring/ops.h"

#define SHOJI_PAIR_OPS PairOpsPortable
#define SHOJI_WORD_LANES 4
#include "lib/kernels/ring/pair_ops.inc"
