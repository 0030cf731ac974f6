// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/server_metrics.h"

#include "server/lanes.h"
#include "server/version.h"

namespace shoji::server {
namespace {

constexpr std::string_view kOther = "other";

prometheus::MetricFamily Value(prometheus::MetricFamily family, double value) {
  metrics::AddValue(family, value);
  return family;
}

struct EnclaveFigures {
  bool is_connected = false;
  bool is_ready = false;
  std::map<Work, size_t> in_flight;
  std::map<Work, size_t> queued;
};

void AddEnclaves(const ServerSources& sources, std::vector<prometheus::MetricFamily>& out) {
  using metrics::GaugeFamily;
  prometheus::MetricFamily connected = GaugeFamily("shoji_server_enclave_connected", "1: the enclave is reached.");
  prometheus::MetricFamily ready = GaugeFamily("shoji_server_enclave_ready", "1: the enclave says that it is ready.");
  prometheus::MetricFamily in_flight =
      GaugeFamily("shoji_server_enclave_in_flight", "Calls at the enclave, by kind of work.");
  prometheus::MetricFamily queued =
      GaugeFamily("shoji_server_queue_depth", "Calls that wait for a slot at the enclave, by kind of work.");
  // One name has two numbers while a new connection takes over from an old one.
  std::map<std::string, EnclaveFigures> by_name;
  for (const auto& [index, name] : sources.enclaves.Named()) {
    EnclaveFigures& figures = by_name[name];
    figures.is_connected = figures.is_connected || sources.router.IsConnected(index);
    figures.is_ready = figures.is_ready || sources.router.IsReady(index);
    for (const Work work : {Work::kRequest, Work::kEvidence}) {
      figures.in_flight[work] += sources.admission.num_in_flight(LaneOf(index, work));
      figures.queued[work] += sources.admission.num_queued(LaneOf(index, work));
    }
  }
  for (const auto& [name, figures] : by_name) {
    metrics::AddValue(connected, figures.is_connected ? 1 : 0, {{"enclave", name}});
    metrics::AddValue(ready, figures.is_ready ? 1 : 0, {{"enclave", name}});
    for (const Work work : {Work::kRequest, Work::kEvidence}) {
      const metrics::Labels labels = {{"enclave", name}, {"work", work == Work::kRequest ? "request" : "evidence"}};
      metrics::AddValue(in_flight, static_cast<double>(figures.in_flight.at(work)), labels);
      metrics::AddValue(queued, static_cast<double>(figures.queued.at(work)), labels);
    }
  }
  out.insert(out.end(), {connected, ready, in_flight, queued});
}

void AddTokens(const ServerSources& sources, std::vector<prometheus::MetricFamily>& out) {
  prometheus::MetricFamily calls = metrics::CounterFamily(
      "shoji_server_token_requests_total", "Calls of tokens that have a name, by what their limits said.");
  prometheus::MetricFamily in_flight =
      metrics::GaugeFamily("shoji_server_token_in_flight", "Calls under way of tokens that have a name.");
  const auto accounts = sources.authenticator.NamedAccounts();
  for (const auto& account : accounts) {
    const Account::Counts counts = account->counts();
    const auto add = [&](const char* result, uint64_t count) {
      metrics::AddValue(calls, static_cast<double>(count), {{"token", account->name()}, {"result", result}});
    };
    add("admitted", counts.admitted);
    add("rate", counts.refused_for_rate);
    add("in_flight", counts.refused_for_in_flight);
    metrics::AddValue(in_flight, static_cast<double>(counts.in_flight), {{"token", account->name()}});
  }
  if (!accounts.empty()) {
    out.insert(out.end(), {calls, in_flight});
  }
}

}  // namespace

ServerMetrics::ServerMetrics(metrics::Exporter& exporter)
    : requests_(prometheus::BuildCounter()
                    .Name("shoji_server_requests_total")
                    .Help("Calls that ended, by method and gRPC status.")
                    .Register(exporter.registry())),
      waits_(prometheus::BuildHistogram()
                 .Name("shoji_server_queue_wait_seconds")
                 .Help("From a call's body to its slot at an enclave.")
                 .Register(exporter.registry())
                 .Add({}, metrics::TimeBuckets())),
      reloads_(exporter, "server") {
  auto& durations = prometheus::BuildHistogram()
                        .Name("shoji_server_request_duration_seconds")
                        .Help("From a call's head to its status, by method.")
                        .Register(exporter.registry());
  for (const std::string_view name : MethodNames()) {
    durations_.emplace(name, &durations.Add({{"method", std::string(name)}}, metrics::TimeBuckets()));
    requests_.Add({{"method", std::string(name)}, {"status", "OK"}});  // from the start
  }
  auto& refusals = prometheus::BuildCounter()
                       .Name("shoji_server_rejected_total")
                       .Help("Calls that the front end itself refused, by reason.")
                       .Register(exporter.registry());
  for (size_t i = 0; i < kNumRefusals; ++i) {
    refusals_[i] = &refusals.Add({{"reason", std::string(NameOf(static_cast<Refusal>(i)))}});
  }
}

void ServerMetrics::Ended(const Method* method, absl::StatusCode status, std::chrono::nanoseconds took) {
  const std::string_view name = method == nullptr ? kOther : method->name;
  requests_.Add({{"method", std::string(name)}, {"status", absl::StatusCodeToString(status)}}).Increment();
  if (const auto found = durations_.find(name); found != durations_.end()) {
    found->second->Observe(std::chrono::duration<double>(took).count());
  }
}

std::vector<prometheus::MetricFamily> CollectFrom(const ServerSources& sources) {
  using metrics::CounterFamily;
  using metrics::GaugeFamily;
  prometheus::MetricFamily info = GaugeFamily("shoji_server_info", "Always 1; the label says which version runs.");
  metrics::AddValue(info, 1, {{"version", kSoftwareVersion}});
  std::vector<prometheus::MetricFamily> out = {
      info,
      Value(GaugeFamily("shoji_server_in_flight", "Calls that hold a slot at an enclave."),
            static_cast<double>(sources.admission.num_in_flight())),
      Value(GaugeFamily("shoji_server_held_bytes", "What requests that came in, and answers not yet taken, hold."),
            static_cast<double>(sources.intake.num_held_bytes() + sources.open_intake.num_held_bytes())),
      Value(CounterFamily("shoji_server_cut_off_total", "Calls cut off because their caller neither sent nor read."),
            static_cast<double>(sources.intake.num_cut_off() + sources.open_intake.num_cut_off()))};
  AddEnclaves(sources, out);
  AddTokens(sources, out);
  return out;
}

}  // namespace shoji::server
