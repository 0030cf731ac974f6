// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Who may hold a share of a mask. With `masking: {source: shares}` one accelerator gets r and another one x' + r: each
// sees uniformly random numbers, and both together see x'. So the two must belong to operators that are really two, as
// far as a configuration can show it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/partition/plan.h"

namespace shoji::partition {

// Whether `accelerators`, those of one blinded segment, can hold shares: each has an operator's name, a pinned key and
// a mutually authenticated TLS link; no two operators share a key or an address; and there are at least two operators.
// Whoever runs several accelerators is one operator: give them all its name. INVALID_ARGUMENT starts with `label`,
// names accelerator and operators, and says what to do.
absl::Status CheckShareHolders(const std::vector<AcceleratorIdentity>& accelerators, const std::string& label);

}  // namespace shoji::partition
