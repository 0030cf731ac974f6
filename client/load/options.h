// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What `shoji load` is asked to do.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace shoji::client::load {

// A bound that a run has to keep: "p99=50ms", "max=1s", "errors=0.1%", "rate=1000" (answers a second, at least).
struct Slo {
  enum class What : uint8_t { kQuantile, kMax, kErrors, kRate };
  std::string text;
  What what = What::kQuantile;
  double quantile = 0;  // of kQuantile
  double bound = 0;     // seconds; a share from 0 to 1; a rate
};

// What reports state of a distribution, besides its maximum.
struct Quantile {
  const char* name;
  double value;
};
inline constexpr Quantile kQuantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}};

enum class Mode : uint8_t { kConcurrency, kRate };
enum class Arrival : uint8_t { kConstant, kPoisson };

struct Options {
  Mode mode = Mode::kConcurrency;
  // One after the other: requests in flight at a time, or requests a second.
  std::vector<double> levels = {1};
  Arrival arrival = Arrival::kConstant;
  uint64_t seed = 1;
  std::chrono::nanoseconds duration = std::chrono::seconds(10);  // of each level, after its warm-up
  uint64_t requests = 0;                                         // of each level; 0: as many as `duration` brings
  std::chrono::nanoseconds warmup = std::chrono::seconds(1);
  size_t connections = 1;
  size_t max_in_flight = 10'000;  // of kRate; more wait for their turn, and are late
  std::chrono::milliseconds timeout = std::chrono::seconds(10);
  bool session_per_request = false;
  bool phases = false;
  std::vector<Slo> slos;
};

// "4", "1:16:5" (1, 6, 11, 16): positive, the last one not beyond `b`; at most 1,000 of them. `whole`: integers only.
// INVALID_ARGUMENT says what is wrong.
absl::StatusOr<std::vector<double>> ParseSweep(std::string_view text, bool whole);
// A quantile is one of kQuantiles: a bound on one that the report does not state could not be followed up.
absl::StatusOr<Slo> ParseSlo(std::string_view text);

}  // namespace shoji::client::load
