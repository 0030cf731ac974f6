// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The loops on words for any CPU.
#include <cstddef>
#include <cstdint>

#include "lib/kernels/ring/ops.h"

#define SHOJI_WORD_OPS WordOpsPortable
#define SHOJI_WORD_LANES 4
#define SHOJI_WORD_PIXELS 3
#define SHOJI_WORD_VECTORS 2
#include "lib/kernels/ring/word_ops.inc"
