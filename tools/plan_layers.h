// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/kernels/ring/layout.h"
#include "lib/partition/plan.h"
#include "lib/quantization/activation_ranges.h"

namespace shoji::tools {

// One linear layer of an int8 segment, and what it costs each request.
struct LayerPlan {
  std::string name;
  size_t segment = 0;  // in ResolvedPlan::segments: the one that holds its node
  partition::Placement place = partition::Placement::kEnclave;
  kernels::ring::Ring ring = kernels::ring::Ring::k32;
  int64_t lo = 0;  // extremes of the accumulator over all inputs and channels
  int64_t hi = 0;
  uint64_t bytes_out = 0;  // to accelerators: to both, where the mask is shared
  uint64_t bytes_in = 0;   // from them
  uint64_t pad_bytes = 0;  // of the pool
  int num_checks = 0;      // of one answer, each with secrets of its own
  double log2_error = 0;   // with what probability a wrong answer passes all of them; 0: no check
};

// Every linear layer of the int8 segments of `plan`, resolved for `graph`, in order. Errors as quantization::
// Program::Compile: a layer that fits no ring, a value without a range.
absl::StatusOr<std::vector<LayerPlan>> PlanLayers(const partition::ResolvedPlan& plan, const graph::Graph& graph,
                                                  const quantization::ActivationRanges& ranges);

// The sums over all layers: what one request sends, receives and takes from pools.
struct LayerTotals {
  uint64_t bytes_out = 0;
  uint64_t bytes_in = 0;
  uint64_t pad_bytes = 0;
};
LayerTotals TotalsOf(const std::vector<LayerPlan>& layers);

// The pool of pads of one int8 region: each region that masks with pads has its own.
struct PoolPlan {
  partition::Region region;
  uint64_t pad_bytes = 0;  // what one request takes
  uint64_t requests = 0;   // for how many it holds pads at most; at least 1
};
// INVALID_ARGUMENT for a pool that does not hold the pads of one request.
absl::StatusOr<std::vector<PoolPlan>> PoolsOf(const partition::ResolvedPlan& plan,
                                              const std::vector<LayerPlan>& layers);

}  // namespace shoji::tools
