// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>

#include "gpu_worker/cuda/open_kernels.h"

namespace shoji::accelerator::open_segment {

// How a product [count, m, n] over k is cut into blocks.
struct Tiling {
  MultiplyArgs::Tile tile = MultiplyArgs::Tile::k64x64;
  uint32_t splits = 1;
  uint32_t k_per_split = 1;
};

// All at least 1.
struct Product {
  int64_t m = 1;
  int64_t n = 1;
  int64_t k = 1;
  int64_t count = 1;
  bool gathers = false;  // a convolution by its windows
};

// The tiling that takes least time by a model of a device of `num_multiprocessors`. Depends on nothing else, so a
// product has the same roundings in every run on such a device.
Tiling ChooseTiling(const Product& product, int num_multiprocessors);

}  // namespace shoji::accelerator::open_segment
