// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Layers for tests of the ring kernels, and what they should give: sums of exact 64-bit integers, reduced at the end.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/linear.h"

namespace shoji::kernels::ring {

// Weights and input of one layer, all bytes of the input random, those that must not matter too.
struct RandomLayer {
  RandomLayer(const ConvGeometry& geometry, size_t num_limbs, unsigned seed);

  LinearInput input(uint8_t padding = 0) const { return {limbs, num_limbs, padding}; }

  ConvGeometry geometry;
  size_t num_limbs;
  std::vector<int8_t> weights;
  std::vector<uint8_t> limbs;
};

// With the output that follows. EXPECTs that the sizes fit each other.
ConvGeometry MakeGeometry(int64_t in_channels, int64_t out_channels, int64_t group, Extents input,
                          const Window& window = {});
// Small and odd: any kernel, stride, dilation, asymmetric pads, groups, channels.
ConvGeometry RandomGeometry(std::mt19937& generator);
std::string Describe(const ConvGeometry& geometry);

std::vector<uint8_t> Reference(const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring,
                               const LinearInput& input);

// All rows, with a kernel of its own, packed on `num_threads` threads.
std::vector<uint8_t> RunWhole(Isa isa, const ConvGeometry& geometry, std::span<const int8_t> weights, Ring ring,
                              const LinearInput& input, int num_threads = 1);

}  // namespace shoji::kernels::ring
