// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <prometheus/counter.h>

#include <cstdint>
#include <string>

#include "lib/metrics/exporter.h"

namespace shoji::metrics {

enum class ReloadResult : uint8_t { kAccepted, kRefused };

// shoji_PROCESS_reloads_total{result="accepted"|"refused"}: what became of reloads, alike in every daemon. Both are
// there from the start, so that the first failure is an increase. Thread-safe.
class ReloadCounter {
 public:
  // `exporter` outlives it; `process` as its metrics call it: server, enclave, accelerator.
  ReloadCounter(Exporter& exporter, const std::string& process);

  void Count(ReloadResult result) { (result == ReloadResult::kAccepted ? accepted_ : refused_).Increment(); }

 private:
  explicit ReloadCounter(prometheus::Family<prometheus::Counter>& family);

  prometheus::Counter& accepted_;
  prometheus::Counter& refused_;
};

}  // namespace shoji::metrics
