// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/enclave_metrics.h"

#include <limits>
#include <utility>

#include "lib/base/reason.h"

namespace shoji::enclave {
namespace {

using metrics::AddValue;
using metrics::CounterFamily;
using metrics::GaugeFamily;
using prometheus::MetricFamily;

double Seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

template <typename Number>
double AsDouble(Number number) {
  return static_cast<double>(number);
}

MetricFamily With(MetricFamily family, double value) {
  AddValue(family, value);
  return family;
}

void AddSessions(const EnclaveSources& sources, std::vector<MetricFamily>& out) {
  const channel::ResponderCounts counts = sources.enclave.channel_counts();
  out.push_back(With(GaugeFamily("shoji_enclave_sessions", "Live sessions."), AsDouble(counts.live_sessions)));
  out.push_back(With(GaugeFamily("shoji_enclave_sessions_limit", "Sessions that the table holds at most."),
                     AsDouble(counts.max_live_sessions)));
  out.push_back(
      With(CounterFamily("shoji_enclave_sessions_opened_total", "Sessions opened."), AsDouble(counts.sessions_opened)));
  out.push_back(With(GaugeFamily("shoji_enclave_key_sessions", "Sessions ever opened under the current key."),
                     AsDouble(counts.sessions_under_key)));
  out.push_back(With(GaugeFamily("shoji_enclave_key_sessions_limit", "Sessions after which a key is replaced."),
                     AsDouble(counts.max_sessions_per_key)));
  out.push_back(With(CounterFamily("shoji_enclave_keys_made_total", "Keys made, each with a manifest of its own."),
                     AsDouble(counts.keys_made)));
  out.push_back(With(GaugeFamily("shoji_enclave_key_age_seconds", "Age of the current key."), Seconds(counts.key_age)));
}

// `counts`: at i, how many had the size i + 1.
void AddSizes(const std::vector<uint64_t>& counts, const std::string& model, MetricFamily& family) {
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  metric.label = {{"model", model}};
  prometheus::ClientMetric::Histogram& histogram = metric.histogram;
  const auto add_bucket = [&](double bound) {
    prometheus::ClientMetric::Bucket& bucket = histogram.bucket.emplace_back();
    bucket.upper_bound = bound;
    for (size_t i = 0; i < counts.size() && AsDouble(i + 1) <= bound; ++i) {
      bucket.cumulative_count += counts[i];
    }
  };
  for (const double bound : metrics::CountBuckets()) {
    add_bucket(bound);
  }
  add_bucket(std::numeric_limits<double>::infinity());
  for (size_t i = 0; i < counts.size(); ++i) {
    histogram.sample_count += counts[i];
    histogram.sample_sum += AsDouble(counts[i]) * AsDouble(i + 1);
  }
}

void AddModels(const PublicState& state, std::vector<MetricFamily>& out) {
  MetricFamily available = GaugeFamily("shoji_enclave_pads_available", "Pads ready to be claimed.");
  MetricFamily made = CounterFamily("shoji_enclave_pads_made_total", "Pads made since the model was loaded.");
  MetricFamily claimed = CounterFamily("shoji_enclave_pads_claimed_total", "Pads claimed since the model was loaded.");
  MetricFamily empty =
      CounterFamily("shoji_enclave_pad_pool_empty_total", "Claims that found no pad since the model was loaded.");
  MetricFamily failed = CounterFamily("shoji_enclave_failed_verifications_total",
                                      "Answers of accelerators that failed their check since the model was loaded.");
  MetricFamily missed =
      CounterFamily("shoji_enclave_missed_offloads_total",
                    "Layers that no accelerator answered usably, computed here, since the model was loaded.");
  MetricFamily batches = {.name = "shoji_enclave_batch_size",
                          .help = "Requests that went through a model together, since it was loaded.",
                          .type = prometheus::MetricType::Histogram,
                          .metric = {}};
  for (const std::shared_ptr<const Model>& model : state.served->models) {
    const ModelCounts counts = model->counts();
    const metrics::Labels labels = {{"model", model->name()}};
    if (counts.uses_pads) {
      AddValue(available, AsDouble(counts.pads_available), labels);
      AddValue(made, AsDouble(counts.pads_made), labels);
      AddValue(claimed, AsDouble(counts.pads_claimed), labels);
      AddValue(empty, AsDouble(counts.pool_empty), labels);
    }
    if (counts.offloads) {
      AddValue(failed, AsDouble(counts.checks_failed), labels);
      AddValue(missed, AsDouble(counts.offloads_missed), labels);
    }
    if (!counts.batches.empty()) {
      AddSizes(counts.batches, model->name(), batches);
    }
  }
  for (MetricFamily* family : {&available, &made, &claimed, &empty, &failed, &missed, &batches}) {
    if (!family->metric.empty()) {
      out.push_back(std::move(*family));
    }
  }
}

void AddAccelerators(const EnclaveSources& sources, std::vector<MetricFamily>& out) {
  MetricFamily ready =
      GaugeFamily("shoji_enclave_accelerator_ready", "1 where it is connected and holds everything registered.");
  MetricFamily in_flight = GaugeFamily("shoji_enclave_accelerator_executions_in_flight", "Executions under way.");
  MetricFamily sent = CounterFamily("shoji_enclave_accelerator_sent_bytes_total", "Bytes of messages to it.");
  MetricFamily received = CounterFamily("shoji_enclave_accelerator_received_bytes_total", "Bytes of messages from it.");
  MetricFamily held = GaugeFamily("shoji_enclave_accelerator_quarantined", "1 where it is not asked for now.");
  for (const Accelerator* accelerator : sources.accelerators.all()) {
    const metrics::Labels labels = {{"accelerator", accelerator->name()}};
    AddValue(ready, accelerator->ready() ? 1 : 0, labels);
    AddValue(in_flight, AsDouble(accelerator->num_in_flight()), labels);
    AddValue(sent, AsDouble(accelerator->num_sent_bytes()), labels);
    AddValue(received, AsDouble(accelerator->num_received_bytes()), labels);
    AddValue(held, sources.quarantine.Holds(*accelerator) ? 1 : 0, labels);
  }
  for (MetricFamily* family : {&ready, &in_flight, &sent, &received, &held}) {
    if (!family->metric.empty()) {
      out.push_back(std::move(*family));
    }
  }
  MetricFamily offences = CounterFamily("shoji_enclave_accelerator_offences_total",
                                        "What accelerators did that no honest and working one does.");
  for (const Offence offence : {Offence::kWrongAnswer, Offence::kMalformedAnswer, Offence::kNoAnswer}) {
    AddValue(offences, AsDouble(sources.quarantine.num_offences(offence)), {{"offence", NameOf(offence)}});
  }
  out.push_back(std::move(offences));
  out.push_back(With(CounterFamily("shoji_enclave_quarantines_total", "Terms of quarantine begun."),
                     AsDouble(sources.quarantine.num_terms())));
}

void AddEvidence(const EnclaveSources& sources, std::vector<MetricFamily>& out) {
  const EvidenceQueue::Counts counts = sources.evidence();
  MetricFamily quotes = CounterFamily("shoji_enclave_quotes_total", "Quotes asked of the platform.");
  AddValue(quotes, AsDouble(counts.quotes), {{"result", "made"}});
  AddValue(quotes, AsDouble(counts.failed), {{"result", "failed"}});
  out.push_back(std::move(quotes));
  MetricFamily evidence = CounterFamily("shoji_enclave_evidence_total", "Requests for evidence.");
  AddValue(evidence, AsDouble(counts.answers), {{"result", "issued"}});
  AddValue(evidence, AsDouble(counts.refused), {{"result", "refused"}});
  out.push_back(std::move(evidence));
}

}  // namespace

RequestMetrics::RequestMetrics(metrics::Exporter& exporter)
    : requests_(prometheus::BuildCounter()
                    .Name("shoji_enclave_requests_total")
                    .Help("Requests by what became of them; ANSWERED: sealed, a result or an error.")
                    .Register(exporter.registry())),
      reloads_(exporter, "enclave"),
      durations_(prometheus::BuildHistogram()
                     .Name("shoji_enclave_request_duration_seconds")
                     .Help("From the receipt of a request to its answer.")
                     .Register(exporter.registry())
                     .Add({}, metrics::TimeBuckets())) {
  auto& phases = prometheus::BuildHistogram()
                     .Name("shoji_enclave_phase_duration_seconds")
                     .Help("Where the time of answered requests went.")
                     .Register(exporter.registry());
  for (const channel::Phase phase : channel::kAllPhases) {
    phases_.push_back(&phases.Add({{"phase", std::string(NameOf(phase))}}, metrics::TimeBuckets()));
  }
  // There from the start, so that a first failure is an increase.
  CounterOf(absl::OkStatus());
  for (const Reason reason : {Reason::kOverloaded, Reason::kReplayed, Reason::kOpenFailed, Reason::kDeadline}) {
    CounterOf(ErrorOf(reason));
  }
}

prometheus::Counter& RequestMetrics::CounterOf(const absl::Status& status) {
  const std::string_view name = status.ok() ? "ANSWERED" : NameOf(ReasonOf(status));
  return requests_.Add({{"status", std::string(name)}});
}

void RequestMetrics::Answered(const absl::Status& status, const RunContext& run, std::chrono::nanoseconds took) {
  CounterOf(status).Increment();
  if (!status.ok()) {
    return;
  }
  durations_.Observe(Seconds(took));
  for (size_t i = 0; i < phases_.size(); ++i) {
    phases_[i]->Observe(Seconds(std::chrono::microseconds(channel::CoarseMicros(run.phases.times[i]))));
  }
}

void RequestMetrics::Refused(const absl::Status& status) { CounterOf(status).Increment(); }

std::vector<MetricFamily> CollectFrom(const EnclaveSources& sources) {
  std::vector<MetricFamily> out;
  const PublicState state = sources.enclave.public_state();
  MetricFamily info = GaugeFamily("shoji_enclave_info", "Always 1; the label says which version runs.");
  AddValue(info, 1, {{"version", sources.software_version}});
  out.push_back(std::move(info));
  out.push_back(
      With(GaugeFamily("shoji_enclave_ready", "1 where a request sent now can be answered."), state.ready ? 1 : 0));
  out.push_back(With(GaugeFamily("shoji_enclave_requests_in_flight", "Requests that a worker has taken."),
                     AsDouble(sources.workers.num_working())));
  out.push_back(With(GaugeFamily("shoji_enclave_queue_depth", "Requests that wait for a worker."),
                     AsDouble(sources.workers.num_queued())));
  AddSessions(sources, out);
  AddModels(state, out);
  AddAccelerators(sources, out);
  AddEvidence(sources, out);
  return out;
}

}  // namespace shoji::enclave
