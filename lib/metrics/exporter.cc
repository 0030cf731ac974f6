// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/metrics/exporter.h"

#include <prometheus/exposer.h>

#include <exception>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/status_macros.h"
#include "lib/metrics/waker.h"
#include "lib/rpc/listener_claim.h"

namespace shoji::metrics {
namespace {

class Collector final : public prometheus::Collectable {
 public:
  explicit Collector(Exporter::Collect collect) : collect_(std::move(collect)) {}
  std::vector<prometheus::MetricFamily> Collect() const override { return collect_(); }

 private:
  const Exporter::Collect collect_;
};

prometheus::MetricFamily Family(const std::string& name, const std::string& help, prometheus::MetricType type) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

}  // namespace

absl::StatusOr<Options> ReadOptions(const config::Fields& top) {
  Options options;
  const std::optional<config::Node> node = top.Find("metrics");
  if (!node.has_value()) {
    return options;
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"address", "insecure_plaintext"}));
  ASSIGN_OR_RETURN(const config::Node at, fields.Require("address"));
  ASSIGN_OR_RETURN(const std::string text, at.String());
  ASSIGN_OR_RETURN(const bool anywhere, fields.BoolOr("insecure_plaintext", false));
  absl::StatusOr<rpc::Address> address = rpc::ParseAddress(text);
  if (!address.ok()) {
    return at.Annotate(address.status());
  }
  if (address->kind != rpc::Address::Kind::kTcp) {
    return at.Error("metrics are served on HOST:PORT only, not on a Unix socket");
  }
  if (!address->IsLocal() && !anywhere) {
    return at.Error(
        "the page is not encrypted: use a loopback address, or say `insecure_plaintext: true` if the network may see "
        "it");
  }
  options.address = *std::move(address);
  options.where = at.Where();
  return options;
}

const prometheus::Histogram::BucketBoundaries& TimeBuckets() {
  static const auto& buckets = *new prometheus::Histogram::BucketBoundaries{
      0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  return buckets;
}

const prometheus::Histogram::BucketBoundaries& CountBuckets() {
  static const auto& buckets = *new prometheus::Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128, 256};
  return buckets;
}

prometheus::MetricFamily CounterFamily(const std::string& name, const std::string& help) {
  return Family(name, help, prometheus::MetricType::Counter);
}

prometheus::MetricFamily GaugeFamily(const std::string& name, const std::string& help) {
  return Family(name, help, prometheus::MetricType::Gauge);
}

void AddValue(prometheus::MetricFamily& family, double value, const Labels& labels) {
  prometheus::ClientMetric& metric = family.metric.emplace_back();
  for (const auto& [name, text] : labels) {
    metric.label.push_back({name, text});
  }
  if (family.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

class Exporter::Impl {
 public:
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (exposer_ != nullptr) {
      const Waker waker(*address_);
      exposer_.reset();
    }
  }
  absl::Status Listen(const Options& options) {
    address_ = options.address;
    if (!address_.has_value()) {
      return absl::OkStatus();
    }
    // A page is small and scraped every few seconds. What the threads are for is callers that send nothing, or do so
    // slowly: each holds one for as long as a request may take to come, and so keeps out a scrape for 1/32 second.
    const std::vector<std::string> settings = {"listening_ports",    address_->ToString(),
                                               "num_threads",        "16",
                                               "request_timeout_ms", "500",
                                               "enable_keep_alive",  "no"};
    try {
      exposer_ = std::make_unique<prometheus::Exposer>(settings);
    } catch (const std::exception& error) {
      // The library does not say what is wrong; the system does.
      const absl::Status cause = rpc::ListenerClaim::Take(*address_).status();
      return cause.ok() ? absl::UnavailableError(options.where + ": cannot listen on " + address_->ToString() + " (" +
                                                 error.what() + ")")
                        : absl::Status(cause.code(), options.where + ": " + std::string(cause.message()));
    }
    exposer_->RegisterCollectable(registry_);
    for (const int port : exposer_->GetListeningPorts()) {
      address_->port = static_cast<uint16_t>(port);
    }
    return absl::OkStatus();
  }
  void Add(std::shared_ptr<Collector> collector) {
    if (exposer_ != nullptr) {
      exposer_->RegisterCollectable(collector);
    }
    collectors_.push_back(std::move(collector));
  }
  prometheus::Registry& registry() { return *registry_; }
  const std::optional<rpc::Address>& address() const { return address_; }

 private:
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  std::vector<std::shared_ptr<Collector>> collectors_;
  std::optional<rpc::Address> address_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // last: its threads use all of the above
};

Exporter::Exporter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Exporter::~Exporter() = default;

absl::StatusOr<std::unique_ptr<Exporter>> Exporter::Start(const Options& options) {
  auto impl = std::make_unique<Impl>();
  RETURN_IF_ERROR(impl->Listen(options));
  return std::unique_ptr<Exporter>(new Exporter(std::move(impl)));
}

prometheus::Registry& Exporter::registry() { return impl_->registry(); }

void Exporter::AddCollector(Collect collect) { impl_->Add(std::make_shared<Collector>(std::move(collect))); }

class Exporter::ScopedCollector::Gate {
 public:
  explicit Gate(Collect collect) : collect_(std::move(collect)) {}
  std::vector<prometheus::MetricFamily> Ask() {
    const absl::MutexLock lock(&mu_);
    return collect_ ? collect_() : std::vector<prometheus::MetricFamily>();
  }
  void Close() {
    const absl::MutexLock lock(&mu_);
    collect_ = nullptr;
  }

 private:
  absl::Mutex mu_;
  Exporter::Collect collect_ ABSL_GUARDED_BY(mu_);
};

Exporter::ScopedCollector::ScopedCollector(Exporter& exporter, Collect collect)
    : gate_(std::make_shared<Gate>(std::move(collect))) {
  exporter.AddCollector([gate = gate_] { return gate->Ask(); });
}

Exporter::ScopedCollector::~ScopedCollector() { gate_->Close(); }

const std::optional<rpc::Address>& Exporter::address() const { return impl_->address(); }

}  // namespace shoji::metrics
