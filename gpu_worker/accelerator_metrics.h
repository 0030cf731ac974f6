// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The accelerator's metrics.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/metrics/exporter.h"
#include "lib/metrics/reload_counter.h"

namespace shoji::accelerator {

// What is counted as it happens. Thread-safe.
class AcceleratorMetrics {
 public:
  // `exporter` outlives it.
  explicit AcceleratorMetrics(metrics::Exporter& exporter);

  struct Execution {
    absl::Status status;
    std::chrono::nanoseconds queued = {};
    std::chrono::nanoseconds ran = {};
    uint64_t received_bytes = 0;
    uint64_t sent_bytes = 0;
  };
  void Executed(const Execution& execution);
  // One that was refused before it was queued.
  void Refused(const absl::Status& status);
  void Uploaded(const absl::Status& status);
  void Reloaded(metrics::ReloadResult result) { reloads_.Count(result); }

 private:
  void Count(prometheus::Family<prometheus::Counter>& family, const absl::Status& status);

  prometheus::Family<prometheus::Counter>& executions_;
  prometheus::Family<prometheus::Counter>& uploads_;
  prometheus::Counter& received_;
  prometheus::Counter& sent_;
  prometheus::Histogram& queued_;
  prometheus::Histogram& ran_;
  metrics::ReloadCounter reloads_;
};

// What is looked at when somebody asks.
struct AcceleratorState {
  size_t tenants = 0;
  size_t queued = 0;
  size_t models = 0;
  uint64_t memory_bytes = 0;
};
std::vector<prometheus::MetricFamily> CollectFrom(const AcceleratorState& state, const std::string& software_version,
                                                  const std::string& backend);

}  // namespace shoji::accelerator
