// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Convolution and matrix products as their definitions say, in float32, on row-major tensors. They allocate nothing and
// keep no copy of what they read. Spans have the sizes that the geometry says.
#pragma once

#include <span>

#include "lib/kernels/geometry.h"

namespace shoji::kernels::reference {

// `bias` is empty or has one element an output channel.
void Convolve(const ConvGeometry& geometry, std::span<const float> x, std::span<const float> w,
              std::span<const float> bias, std::span<float> y);

void MatMul(const MatMulGeometry& geometry, std::span<const float> a, std::span<const float> b, std::span<float> y);

// `c` is empty where there is no C.
void Gemm(const GemmGeometry& geometry, std::span<const float> a, std::span<const float> b, std::span<const float> c,
          std::span<float> y);

}  // namespace shoji::kernels::reference
