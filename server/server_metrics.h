// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The front end's metrics. Labels are methods, statuses and reasons from fixed lists, and names of the operator's
// choice: nothing that a client chose.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>

#include <array>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "lib/metrics/exporter.h"
#include "lib/metrics/reload_counter.h"
#include "server/admission.h"
#include "server/authenticator.h"
#include "server/enclave_table.h"
#include "server/intake.h"
#include "server/method.h"
#include "server/refusal.h"
#include "server/router.h"

namespace shoji::server {

// What is counted as it happens. Thread-safe.
class ServerMetrics {
 public:
  // `exporter` outlives it.
  explicit ServerMetrics(metrics::Exporter& exporter);

  // A call that took `took` from its head to its status; nullptr: of no method that there is.
  void Ended(const Method* method, absl::StatusCode status, std::chrono::nanoseconds took);
  // A request that got its slot, `waited` after it asked for one.
  void Waited(std::chrono::nanoseconds waited) { waits_.Observe(std::chrono::duration<double>(waited).count()); }
  void Refused(Refusal refusal) { refusals_[static_cast<size_t>(refusal)]->Increment(); }
  void Reloaded(metrics::ReloadResult result) { reloads_.Count(result); }

 private:
  prometheus::Family<prometheus::Counter>& requests_;
  std::map<std::string_view, prometheus::Histogram*> durations_;  // by method; never changes
  prometheus::Histogram& waits_;
  std::array<prometheus::Counter*, kNumRefusals> refusals_ = {};
  metrics::ReloadCounter reloads_;
};

// What is looked at when somebody asks; outlives the exporter's collecting.
struct ServerSources {
  const Intake& intake;
  const Intake& open_intake;
  const Admission& admission;
  const Router& router;
  const Authenticator& authenticator;
  const EnclaveTable& enclaves;  // under the names that the operator gave them
};
std::vector<prometheus::MetricFamily> CollectFrom(const ServerSources& sources);

}  // namespace shoji::server
