// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A quantized linear layer as lib/quantization/linear_layer.h defines it: loops over exact integers, nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/kernels/geometry.h"
#include "lib/quantization/linear_layer.h"

namespace shoji::quantization {

// a + bias, [out channels][output height][output width], of activations laid out as lib/kernels/ring/layout.h says.
std::vector<int64_t> NaiveSums(const LinearLayer& layer, std::span<const uint8_t> input);
// The layer's bytes, pooled where there is a pooling, channels first.
std::vector<uint8_t> NaiveBytes(const LinearLayer& layer, const std::optional<kernels::PoolGeometry>& max_pool,
                                std::span<const uint8_t> input);
std::vector<float> NaiveFloats(const LinearLayer& layer, std::span<const uint8_t> input);

}  // namespace shoji::quantization
