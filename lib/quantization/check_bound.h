// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What Freivalds' check of a layer promises; enclave_worker/core/verification does it.
#pragma once

#include <cmath>
#include <cstdint>

#include "lib/kernels/geometry.h"

namespace shoji::quantization {

// The check is over the field of this many elements.
inline constexpr uint64_t kCheckPrime = (uint64_t{1} << 52) - 47;

// The highest probability with which one wrong answer of this layer passes, as a power of two (for example -43.2):
// (H + W - 1) / p for an output of H x W positions.
inline double LogCheckErrorBound(const kernels::ConvGeometry& geometry) {
  return std::log2(static_cast<double>(geometry.output[0] + geometry.output[1] - 1)) -
         std::log2(static_cast<double>(kCheckPrime));
}

// What an error bound may be at most; a layer whose one check exceeds it is checked twice, with secrets drawn
// independently, which doubles the exponent.
inline constexpr double kMaxLogCheckErrorBound = -40;
inline int NumChecks(const kernels::ConvGeometry& geometry) {
  return LogCheckErrorBound(geometry) > kMaxLogCheckErrorBound ? 2 : 1;
}

}  // namespace shoji::quantization
