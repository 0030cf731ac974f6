// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/phase_times.h"

#include <algorithm>
#include <bit>

#include "lib/base/check.h"

namespace shoji::channel {

std::string_view NameOf(Phase phase) {
  constexpr std::array<std::string_view, kNumPhases> kNames = {"queue",        "open",   "compute", "mask",
                                                               "offload_wait", "verify", "seal"};
  return kNames[static_cast<size_t>(phase)];
}

uint32_t CoarseMicros(std::chrono::nanoseconds time) {
  constexpr uint64_t kFinest = 16;
  constexpr uint64_t kLargest = uint64_t{1} << 31;
  const auto micros =
      static_cast<uint64_t>(std::max<int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count(), 0));
  if (micros >= kLargest) {
    return kLargest;
  }
  const uint64_t unit = std::max(kFinest, std::bit_floor(micros) / 8);
  return static_cast<uint32_t>((micros + unit / 2) / unit * unit);
}

void WritePhaseTrailer(const PhaseTimes& phases, std::span<uint8_t> out) {
  SHOJI_CHECK(out.size() == kPhaseTrailerSize);
  std::ranges::fill(out, uint8_t{0});
  for (size_t i = 0; i < kNumPhases; ++i) {
    const uint32_t micros = CoarseMicros(phases.times[i]);
    for (size_t byte = 0; byte < 4; ++byte) {
      out[4 * i + byte] = static_cast<uint8_t>(micros >> (8 * (3 - byte)));
    }
  }
}

PhaseTimes ReadPhaseTrailer(ByteSpan trailer) {
  SHOJI_CHECK(trailer.size() == kPhaseTrailerSize);
  PhaseTimes phases;
  for (size_t i = 0; i < kNumPhases; ++i) {
    uint32_t micros = 0;
    for (size_t byte = 0; byte < 4; ++byte) {
      micros = micros << 8 | trailer[4 * i + byte];
    }
    phases.times[i] = std::chrono::microseconds(micros);
  }
  return phases;
}

}  // namespace shoji::channel
