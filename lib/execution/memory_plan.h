// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"

namespace shoji::execution {

// A piece of memory that is in use from the beginning of step `first` to the end of step `last`.
struct Lifetime {
  size_t size_bytes = 0;
  size_t first = 0;
  size_t last = 0;
};

struct MemoryPlan {
  std::vector<size_t> offsets;  // one a lifetime; aligned to 64
  size_t size_bytes = 0;
};

// Places every lifetime in one arena so that those that overlap in time do not overlap in memory: the largest first,
// each in the smallest gap that holds it. Deterministic. RESOURCE_EXHAUSTED when the arena would exceed `max_bytes`.
absl::StatusOr<MemoryPlan> PlanMemory(const std::vector<Lifetime>& lifetimes, size_t max_bytes);

}  // namespace shoji::execution
