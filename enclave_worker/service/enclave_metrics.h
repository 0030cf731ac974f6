// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The enclave's metrics. They hold counts and times; no label and no value derives from a plaintext, and whether a
// sealed answer holds a result or an error is not among them.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "enclave_worker/core/accelerator_registry.h"
#include "enclave_worker/core/enclave.h"
#include "enclave_worker/core/quarantine.h"
#include "enclave_worker/core/run_context.h"
#include "enclave_worker/service/evidence_queue.h"
#include "enclave_worker/service/worker_pool.h"
#include "lib/metrics/exporter.h"
#include "lib/metrics/reload_counter.h"

namespace shoji::enclave {

// What is counted as it happens. Thread-safe.
class RequestMetrics {
 public:
  // `exporter` outlives it.
  explicit RequestMetrics(metrics::Exporter& exporter);

  // A request that a worker took: `took` since it was received. Its phases count as coarsely as clients are told them:
  // whoever scrapes between two requests reads what one took off the sums.
  void Answered(const absl::Status& status, const RunContext& run, std::chrono::nanoseconds took);
  // One that found the queue full.
  void Refused(const absl::Status& status);
  void Reloaded(metrics::ReloadResult result) { reloads_.Count(result); }

 private:
  prometheus::Counter& CounterOf(const absl::Status& status);

  prometheus::Family<prometheus::Counter>& requests_;
  metrics::ReloadCounter reloads_;
  prometheus::Histogram& durations_;
  std::vector<prometheus::Histogram*> phases_;  // in the order of channel::Phase
};

// What is looked at when somebody asks; outlives the exporter's collecting.
struct EnclaveSources {
  Enclave& enclave;
  const WorkerPool& workers;
  const AcceleratorRegistry& accelerators;
  const Quarantine& quarantine;
  std::function<EvidenceQueue::Counts()> evidence;
  std::string software_version;
};
std::vector<prometheus::MetricFamily> CollectFrom(const EnclaveSources& sources);

}  // namespace shoji::enclave
