// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/base/bands.h"

namespace shoji::enclave {

// Bands of rows worth their threads: below some 100,000 values a band, starting a thread costs more than it gives.
inline size_t NumBands(int64_t rows, size_t values_per_row, int num_threads) {
  constexpr size_t kMinValues = 100'000;
  return shoji::NumBands(rows, values_per_row, num_threads, kMinValues);
}

}  // namespace shoji::enclave
