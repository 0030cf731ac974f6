// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a challenge consists of: for the sums in this folder and for the kernels of enclave_worker/core/masking, which
// accumulate the output's sum while they unmask.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "enclave_worker/core/verification/aligned_array.h"
#include "enclave_worker/core/verification/axis_classes.h"
#include "enclave_worker/core/verification/challenge.h"
#include "enclave_worker/core/verification/sum_kernels.h"

namespace shoji::enclave {

// Vector kernels multiply even and odd channels apart, so per-channel numbers come in groups of 16: the 8 even
// channels, then the 8 odd ones.
constexpr size_t LaneOf(size_t channel) { return channel / 16 * 16 + channel % 2 * 8 + channel % 16 / 2; }
constexpr size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

struct Challenge::Tables {
  // Up to this many channels, the sum over positions is taken first, in one lane a channel that registers hold; with
  // more, the sum over channels (s applied) is taken first for each position, in 8 lanes.
  static constexpr size_t kMaxPositionsFirst = 64;

  uint64_t alpha = 0;
  uint64_t beta = 0;

  // Output.
  bool positions_first = true;
  size_t num_lanes = 0;             // of OutputSum
  AlignedArray<uint64_t> s;         // in lane order, padded to 64 with zeros
  AlignedArray<uint64_t> output_t;  // [output height][output width]
  uint64_t output_constant = 0;     // sum of s_c lo_c times sum of t: what a = a' + lo adds

  // Input.
  AxisClasses rows;
  AxisClasses columns;
  AlignedArray<uint64_t> row_t;     // alpha^floor(h / stride), one an input row
  AlignedArray<uint64_t> column_t;  // beta^floor(w / stride)
  size_t coefficient_stride = 0;    // in channels, padded to 64
  // [row class][column class][coefficient_stride]; zeros at padding.
  AlignedArray<uint64_t> coefficients;
  uint64_t input_constant = 0;  // sum of all coefficients at their positions, times the zero point

  // Positions of a row that are taken together, and their classes; the other ones, each by itself.
  std::vector<row_kernels::LongRun> long_runs;
  std::vector<uint32_t> long_run_class;
  struct Single {
    int64_t column = 0;
    uint32_t column_class = 0;
  };
  std::vector<Single> singles;
  size_t steps_per_row = 0;
  AlignedArray<uint32_t> digits;  // [input height][steps_per_row][kDigitStride]

  const uint64_t* CoefficientsOf(size_t row_class, size_t column_class) const {
    return coefficients.data() + (row_class * columns.taps.size() + column_class) * coefficient_stride;
  }
};

}  // namespace shoji::enclave
