// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Which convolutions of a graph are computed by Winograd's method. Private to this folder and its tests.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/graph/graph.h"
#include "lib/kernels/blocked/ops.h"

namespace shoji::execution {

enum class ConvForm : uint8_t {
  kDirect,
  kWinograd2,  // tiles of 2x2 outputs: 16 products for 36, weights 16/9 as large
  kWinograd4,  // tiles of 4x4 outputs: 36 products for 144, weights 4 times as large
};

// One entry a node; kDirect for what is no convolution with constant weights. Winograd's method where it saves time, as
// long as all weights together do not grow by more than an eighth (or 32 MiB). Depends on the extents alone: the same
// graph gets the same forms, and so the same bits, in every process on such a CPU. `ops` is null where there are none.
std::vector<ConvForm> PlanConvolutions(const kernels::blocked::Ops* ops, const graph::Graph& graph);

}  // namespace shoji::execution
