// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Kernels that only move elements. Exact.
#pragma once

#include <span>

#include "lib/kernels/geometry.h"

namespace shoji::kernels::reference {

// Transpose, Slice and Expand: `nest` is MakeTranspose's, MakeSlice's, or MakeBroadcast's with Y as the second operand.
void Copy(const LoopNest& nest, std::span<const float> x, std::span<float> y);

// `nest` is MakePad's.
void Pad(const LoopNest& nest, float value, std::span<const float> x, std::span<float> y);

// Puts `x` into `y` at `position` along the axis: one call for each part of a Concat. The views are along that axis.
void Insert(const AxisView& x_view, const AxisView& y_view, int64_t position, std::span<const float> x,
            std::span<float> y);

// The elements along the axis of `view` that `indices`, each in range, pick.
void Gather(const AxisView& view, std::span<const int64_t> indices, std::span<const float> x, std::span<float> y);

}  // namespace shoji::kernels::reference
