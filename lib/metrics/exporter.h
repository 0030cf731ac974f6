// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A process's metrics, for Prometheus to scrape: GET /metrics on a port of their own. What no metric may hold, in a
// name, a label or a value: anything that derives from a plaintext or a key.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/config/node.h"
#include "lib/rpc/address.h"

namespace shoji::metrics {

struct Options {
  std::optional<rpc::Address> address;  // nullopt: nobody can scrape
  std::string where;                    // the place that names it, for errors
};

// Reads the optional key `metrics` of a configuration: {address: HOST:PORT, insecure_plaintext: true|false}. An address
// beyond this host is an error unless `insecure_plaintext` asks for it: the page is not encrypted.
absl::StatusOr<Options> ReadOptions(const config::Fields& top);

// Upper bounds, in seconds, of a histogram of times: 50 us to 60 s.
const prometheus::Histogram::BucketBoundaries& TimeBuckets();
// Upper bounds of a histogram of counts: 1, 2, 4, ... 256.
const prometheus::Histogram::BucketBoundaries& CountBuckets();

// What is counted elsewhere, as families that are made anew for every scrape.
prometheus::MetricFamily CounterFamily(const std::string& name, const std::string& help);
prometheus::MetricFamily GaugeFamily(const std::string& name, const std::string& help);
using Labels = std::vector<std::pair<std::string, std::string>>;
// Adds one value of a family made by one of the two above.
void AddValue(prometheus::MetricFamily& family, double value, const Labels& labels = {});

// The registry, and the HTTP server that shows it. Thread-safe. Destroy it before what its collectors look at; that
// takes as long as a scrape under way, and at most about half a second where a caller has stalled.
class Exporter {
 public:
  // Errors name the place in the configuration: the address is in use, or is none that can be listened on.
  static absl::StatusOr<std::unique_ptr<Exporter>> Start(const Options& options);
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;
  ~Exporter();

  // For prometheus::BuildCounter() and its like; what they make lives as long as the exporter.
  prometheus::Registry& registry();
  using Collect = std::function<std::vector<prometheus::MetricFamily>()>;
  // `collect` is called at every scrape, by the server's threads, for as long as the exporter lives.
  void AddCollector(Collect collect);
  // The same for as long as this lives: when it is gone, `collect` is not running and is not called any more.
  class ScopedCollector {
   public:
    ScopedCollector(Exporter& exporter, Collect collect);
    ScopedCollector(const ScopedCollector&) = delete;
    ScopedCollector& operator=(const ScopedCollector&) = delete;
    ~ScopedCollector();

   private:
    class Gate;
    const std::shared_ptr<Gate> gate_;  // shared with the exporter, which outlives it
  };
  // With the real port where 0 was asked for; nullopt: nobody can scrape.
  const std::optional<rpc::Address>& address() const;

 private:
  class Impl;
  explicit Exporter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoji::metrics
