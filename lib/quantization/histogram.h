// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a value takes over many examples, and the range for it. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/quantization/activation_ranges.h"

namespace shoji::quantization {

// The extremes of what is seen in a first pass, and how often it falls where between them in a second. Copyable;
// thread-compatible.
class Histogram {
 public:
  static constexpr size_t kNumBins = 4096;

  // First pass. False where a value is not finite.
  bool Extend(std::span<const float> values);
  bool is_empty() const { return is_empty_; }
  // Everything seen. Requires !is_empty().
  Range extremes() const { return extremes_; }

  // Second pass: the values of the first once more.
  void Count(std::span<const float> values);
  uint64_t num_counted() const { return num_counted_; }

  // The narrowest range beyond which lies at most `share` / 2 of the values on either side, to within a bin.
  Range Percentile(double share) const;
  // The range whose 8-bit rounding and clipping has the least mean square error.
  Range LeastSquares() const;

 private:
  double BinWidth() const;
  double CentreOf(size_t bin) const;
  double SquaredError(const Range& range) const;

  bool is_empty_ = true;
  Range extremes_;
  std::vector<uint64_t> bins_;
  uint64_t num_zeros_ = 0;  // exact in any range; not in the bins
  uint64_t num_counted_ = 0;
};

}  // namespace shoji::quantization
