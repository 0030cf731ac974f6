// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace shoji::enclave {

// What happened in one model since it was loaded, for the operator. Nothing in it depends on an input.
struct ModelCounts {
  bool uses_pads = false;
  size_t pads_available = 0;
  uint64_t pads_made = 0;
  uint64_t pads_claimed = 0;
  uint64_t pool_empty = 0;  // claims that found no pad
  bool offloads = false;    // a blinded or verified layer
  uint64_t checks_failed = 0;
  uint64_t offloads_missed = 0;   // layers that nobody answered usably
  std::vector<uint64_t> batches;  // where requests are brought together: at i, batches of i + 1 of them
};

}  // namespace shoji::enclave
