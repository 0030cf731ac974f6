// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Why the transposed convolution of s (x) t is rank one up to border terms. Along one axis of stride S, input position
// i meets kernel position k at output position (i + pad - k * dilation) / S, if that is a whole number inside the
// output. Its weight is alpha to that power: alpha^floor(i/S) times alpha^exponent, where the exponent depends on i mod
// S and k alone. So all positions that meet the same kernel positions with the same exponents share their coefficients:
// a class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/kernels/geometry.h"

namespace shoji::enclave {

struct Tap {
  int64_t kernel = 0;
  int64_t exponent = 0;  // may be negative
  auto operator<=>(const Tap&) const = default;
};

// Input positions first, first + step, ... of one class.
struct ClassRun {
  uint32_t class_index = 0;
  int64_t first = 0;
  int64_t step = 1;
  int64_t count = 0;
};

struct AxisClasses {
  std::vector<std::vector<Tap>> taps;  // of each class
  std::vector<uint32_t> class_of;      // of each input position
  // The positions of each class that has taps: these always lie evenly, `stride` apart. Positions that no output reads
  // are in none.
  std::vector<ClassRun> runs;
};

// `axis`: 0 height, 1 width.
AxisClasses ClassifyAxis(const kernels::ConvGeometry& geometry, size_t axis);

}  // namespace shoji::enclave
