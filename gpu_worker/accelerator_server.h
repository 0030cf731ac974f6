// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gpu_worker/accelerator_service.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/config.h"
#include "gpu_worker/tenant_table.h"
#include "gpu_worker/work_queue.h"
#include "lib/base/clock.h"
#include "lib/rpc/address.h"
#include "lib/rpc/health.h"
#include "lib/rpc/server.h"
#include "lib/telemetry/log.h"

namespace shoji::accelerator {

// All of an accelerator process but its command line. Thread-safe.
class AcceleratorServer {
 public:
  // Serves from now on. Errors: as rpc::Server::Start. All that is referred to outlives it.
  static absl::StatusOr<std::unique_ptr<AcceleratorServer>> Start(const Config& config,
                                                                  std::unique_ptr<Backend> backend, const Clock& clock,
                                                                  telemetry::Logger& log, metrics::Exporter& exporter);
  AcceleratorServer(const AcceleratorServer&) = delete;
  AcceleratorServer& operator=(const AcceleratorServer&) = delete;
  // Cuts every stream and waits for the runs under way.
  ~AcceleratorServer() = default;

  const std::vector<rpc::Address>& addresses() const { return server_->addresses(); }
  const std::string& backend_name() const { return backend_->name(); }

  // Returns once exactly `count` tenants are attached.
  void AwaitTenants(size_t count) const { tenants_.AwaitSize(count); }

  // Takes over what of `config` can change while it serves: the listener's certificates and `client_ca`, the queue, the
  // quotas of tenants, also of those attached, the log's level. All or nothing: FAILED_PRECONDITION names a setting
  // that only a restart changes, other errors a file that cannot be used. The drain timeout is the caller's. One thread
  // at a time.
  absl::Status Reload(const Config& config);
  // Counts one that was refused before there was a configuration.
  void CountRefusedReload() { metrics_.Reloaded(metrics::ReloadResult::kRefused); }

  // Reports NOT_SERVING, refuses new work, waits up to `grace` for what was asked for before, then ends every stream.
  // Whether all was answered in time.
  bool Drain(std::chrono::nanoseconds grace);

 private:
  AcceleratorServer(const Config& config, std::unique_ptr<Backend> backend, const Clock& clock, telemetry::Logger& log,
                    metrics::Exporter& exporter);
  absl::Status TryReload(const Config& config);

  // Destroyed from the last to the first: no stream when tenants go, no thread when the backend goes.
  const config::FixedSettings fixed_;
  const Clock& clock_;
  telemetry::Logger& log_;
  std::unique_ptr<Backend> backend_;
  AcceleratorMetrics metrics_;
  telemetry::RateLimit traces_;
  WorkQueue queue_;
  TenantTable tenants_;
  metrics::Exporter::ScopedCollector collecting_;
  std::unique_ptr<AcceleratorService> service_;
  rpc::HealthService health_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace shoji::accelerator
