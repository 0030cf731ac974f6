// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "enclave_worker/core/enclave.h"
#include "enclave_worker/evidence/evidence_provider.h"
#include "enclave_worker/service/enclave_metrics.h"
#include "enclave_worker/service/evidence_queue.h"
#include "enclave_worker/service/worker_pool.h"
#include "lib/base/clock.h"
#include "lib/rpc/event_loop.h"
#include "lib/telemetry/log.h"

namespace grpc {
class Service;
}

namespace shoji::enclave {

// shoji.internal.v1.EnclaveService over an Enclave: a thin adapter from messages to calls. One thread of its own makes
// the quotes. Thread-safe.
class EnclaveService {
 public:
  struct Options {
    Enclave& enclave;
    EvidenceProvider& evidence;
    WorkerPool& workers;  // run the requests
    const Clock& clock;
    telemetry::Logger& logger;
    std::string software_version;
    std::chrono::nanoseconds max_deadline = std::chrono::seconds(60);  // for callers that set none, or a later one
    EvidenceQueue::Limits evidence_limits = {};
    RequestMetrics* metrics = nullptr;  // optional
  };
  // All that `options` refers to must outlive it.
  explicit EnclaveService(const Options& options);
  EnclaveService(const EnclaveService&) = delete;
  EnclaveService& operator=(const EnclaveService&) = delete;
  ~EnclaveService();

  // For rpc::Server::Start.
  grpc::Service* service();
  // Takes calls from now on, on the loops of that server, all of which must be stopped before this ends.
  void Serve(const std::vector<std::unique_ptr<rpc::EventLoop>>& loops);

  // Tells every watcher the enclave's state when it has changed, or as a sign of life when `now` is late enough; and
  // the log, now and then, how much evidence was asked for. Call several times a second.
  void Publish();
  EvidenceQueue::Counts evidence_counts();
  // Says not ready to every watcher from now on, and refuses new requests.
  void Drain();
  // Ends every Watch, so that a server can shut down.
  void EndWatches();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoji::enclave
