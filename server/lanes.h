// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How admission's lanes are laid out: two for each enclave. Callers who ask for evidence wait at the enclave for a
// quote that many of them share, which may take seconds; in a lane of their own they hold up no request.
#pragma once

#include <cstddef>
#include <cstdint>

#include "server/admission.h"
#include "server/config.h"

namespace shoji::server {

enum class Work : uint8_t { kRequest, kEvidence };

// Callers at an enclave who wait for evidence.
inline constexpr size_t kMaxEvidenceInFlight = 512;

inline size_t LaneOf(size_t enclave, Work work) { return 2 * enclave + static_cast<size_t>(work); }

inline Admission::Options OptionsOf(const Limits& limits, Work work) {
  return {.max_in_flight = work == Work::kEvidence ? kMaxEvidenceInFlight : limits.max_in_flight,
          .max_queue = limits.max_queue,
          .max_wait = limits.max_queue_wait};
}

}  // namespace shoji::server
