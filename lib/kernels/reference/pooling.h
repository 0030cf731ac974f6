// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <span>

#include "lib/kernels/geometry.h"

namespace shoji::kernels::reference {

// A window that covers no cell it may count (it hangs wholly over the input's end) gives the lowest float for kMax and
// 0 for the averages.
void Pool(const PoolGeometry& geometry, std::span<const float> x, std::span<float> y);

}  // namespace shoji::kernels::reference
