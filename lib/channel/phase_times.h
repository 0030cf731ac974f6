// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Where a request's time went inside the enclave, as it may stand behind an answer (docs/protocol.md, section 5).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lib/base/bytes.h"

namespace shoji::channel {

enum class Phase : uint8_t {
  kQueue,        // waited for a worker, a batch, a pad or a processor
  kOpen,         // decrypting and reading the request
  kCompute,      // the enclave's own layers
  kMask,         // masking and packing what goes to accelerators
  kOffloadWait,  // waited for accelerators
  kVerify,       // unmasking and checking what came back
  kSeal,         // encrypting the answer, once
};
inline constexpr size_t kNumPhases = 7;
inline constexpr std::array<Phase, kNumPhases> kAllPhases = {
    Phase::kQueue, Phase::kOpen, Phase::kCompute, Phase::kMask, Phase::kOffloadWait, Phase::kVerify, Phase::kSeal};

// "queue", "open", "compute", "mask", "offload_wait", "verify", "seal".
std::string_view NameOf(Phase phase);

// Copyable; thread-compatible.
struct PhaseTimes {
  std::array<std::chrono::nanoseconds, kNumPhases> times = {};

  std::chrono::nanoseconds& operator[](Phase phase) { return times[static_cast<size_t>(phase)]; }
  std::chrono::nanoseconds operator[](Phase phase) const { return times[static_cast<size_t>(phase)]; }
};

// Seven u32, big-endian, in the order of Phase; then a reserved one, 0.
inline constexpr size_t kPhaseTrailerSize = 4 * (kNumPhases + 1);

// In microseconds, rounded to 16, or above 256 to an eighth of the power of two below: enough to see where time goes,
// too little for what a cache hit more or less gives away. Saturates.
uint32_t CoarseMicros(std::chrono::nanoseconds time);

// `out` has kPhaseTrailerSize bytes.
void WritePhaseTrailer(const PhaseTimes& phases, std::span<uint8_t> out);
// `trailer` has kPhaseTrailerSize bytes; its reserved field is not looked at.
PhaseTimes ReadPhaseTrailer(ByteSpan trailer);

}  // namespace shoji::channel
