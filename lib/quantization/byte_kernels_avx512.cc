// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/byte_kernels.h"

namespace shoji::quantization {
namespace {

#include "lib/quantization/byte_loops.inc"

}  // namespace

const ByteKernels kAvx512ByteKernels = kAll;

}  // namespace shoji::quantization
