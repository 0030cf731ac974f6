// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Ring layers from 8-bit layers, as somebody would make them with a library: limb by limb, added with shifts.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "lib/kernels/ring/self_test.h"

namespace shoji::kernels::ring {

// [height][width][in_channels] bytes, no padding anywhere, to [height][width][out_channels] sums.
using BytesLayer = std::function<absl::StatusOr<std::vector<int32_t>>(
    const ConvGeometry& geometry, std::span<const int8_t> weights, std::span<const uint8_t> x)>;
// The sum of products of one output.
using SumOfProducts = std::function<int32_t(std::span<const uint8_t> x, std::span<const int8_t> w)>;

KernelRunner LimbRunner(const BytesLayer& layer);
KernelRunner LimbRunner(int32_t (*sum)(std::span<const uint8_t> x, std::span<const int8_t> w));

}  // namespace shoji::kernels::ring
