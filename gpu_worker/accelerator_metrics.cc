// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/accelerator_metrics.h"

#include <utility>

namespace shoji::accelerator {
namespace {

double Seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

prometheus::Family<prometheus::Counter>& Counters(metrics::Exporter& exporter, const std::string& name,
                                                  const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(exporter.registry());
}

prometheus::Histogram& Times(metrics::Exporter& exporter, const std::string& name, const std::string& help) {
  auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(exporter.registry());
  return family.Add({}, metrics::TimeBuckets());
}

prometheus::MetricFamily Gauge(const std::string& name, const std::string& help, double value) {
  prometheus::MetricFamily family = metrics::GaugeFamily(name, help);
  metrics::AddValue(family, value);
  return family;
}

}  // namespace

AcceleratorMetrics::AcceleratorMetrics(metrics::Exporter& exporter)
    : executions_(Counters(exporter, "shoji_accelerator_executions_total", "Executions by gRPC status.")),
      uploads_(
          Counters(exporter, "shoji_accelerator_uploads_total", "Sub-models uploaded and loaded, by gRPC status.")),
      received_(Counters(exporter, "shoji_accelerator_received_bytes_total", "Bytes of executions' messages.").Add({})),
      sent_(Counters(exporter, "shoji_accelerator_sent_bytes_total", "Bytes of executions' answers.").Add({})),
      queued_(Times(exporter, "shoji_accelerator_queue_wait_seconds", "From an execution's receipt to its start.")),
      ran_(Times(exporter, "shoji_accelerator_execution_duration_seconds", "From an execution's start to its end.")),
      reloads_(exporter, "accelerator") {
  // There from the start, so that a first failure is an increase.
  for (const absl::StatusCode code : {absl::StatusCode::kOk, absl::StatusCode::kResourceExhausted}) {
    executions_.Add({{"status", absl::StatusCodeToString(code)}});
    uploads_.Add({{"status", absl::StatusCodeToString(code)}});
  }
}

void AcceleratorMetrics::Count(prometheus::Family<prometheus::Counter>& family, const absl::Status& status) {
  family.Add({{"status", absl::StatusCodeToString(status.code())}}).Increment();
}

void AcceleratorMetrics::Executed(const Execution& execution) {
  Count(executions_, execution.status);
  received_.Increment(static_cast<double>(execution.received_bytes));
  sent_.Increment(static_cast<double>(execution.sent_bytes));
  queued_.Observe(Seconds(execution.queued));
  ran_.Observe(Seconds(execution.ran));
}

void AcceleratorMetrics::Refused(const absl::Status& status) { Count(executions_, status); }

void AcceleratorMetrics::Uploaded(const absl::Status& status) { Count(uploads_, status); }

std::vector<prometheus::MetricFamily> CollectFrom(const AcceleratorState& state, const std::string& software_version,
                                                  const std::string& backend) {
  prometheus::MetricFamily info =
      metrics::GaugeFamily("shoji_accelerator_info", "Always 1; the labels say which version runs on what.");
  metrics::AddValue(info, 1, {{"version", software_version}, {"backend", backend}});
  return {
      info, Gauge("shoji_accelerator_tenants", "Enclaves attached.", static_cast<double>(state.tenants)),
      Gauge("shoji_accelerator_queue_depth", "Executions and uploads that wait for a thread.",
            static_cast<double>(state.queued)),
      Gauge("shoji_accelerator_models", "Sub-models loaded, of all tenants.", static_cast<double>(state.models)),
      Gauge("shoji_accelerator_model_memory_bytes", "Memory that they hold.", static_cast<double>(state.memory_bytes))};
}

}  // namespace shoji::accelerator
