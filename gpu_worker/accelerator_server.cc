// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/accelerator_server.h"

#include <utility>

#include "lib/base/status_macros.h"

namespace shoji::accelerator {

AcceleratorServer::AcceleratorServer(const Config& config, std::unique_ptr<Backend> backend, const Clock& clock,
                                     telemetry::Logger& log)
    : clock_(clock),
      backend_(std::move(backend)),
      queue_({.num_threads = config.num_workers, .max_queued = config.max_queue}),
      tenants_(config.tenants, {.backend = *backend_, .queue = queue_, .clock = clock, .log = log}),
      service_(AcceleratorService::Create(
          {.software_version = SHOJI_VERSION, .backend = backend_->name(), .quotas = config.tenants.quotas}, tenants_)),
      health_({"shoji.internal.v1.AcceleratorService"}) {}

absl::StatusOr<std::unique_ptr<AcceleratorServer>> AcceleratorServer::Start(const Config& config,
                                                                            std::unique_ptr<Backend> backend,
                                                                            const Clock& clock,
                                                                            telemetry::Logger& log) {
  std::unique_ptr<AcceleratorServer> out(new AcceleratorServer(config, std::move(backend), clock, log));
  rpc::ServerOptions options;
  options.listeners = {config.listen};
  options.max_message_bytes = config.max_message_bytes;
  options.reflection = rpc::Reflection::kOn;
  ASSIGN_OR_RETURN(out->server_, rpc::Server::Start(options, {&out->service_->service(), out->health_.service()}));
  out->health_.Set(rpc::Health::kServing);
  return out;
}

bool AcceleratorServer::Drain(std::chrono::nanoseconds grace) {
  health_.Set(rpc::Health::kNotServing);
  service_->Drain();
  const bool clean = service_->WaitUntilEmpty(clock_.SteadyNow() + grace);
  health_.Shutdown();
  server_->Shutdown(std::chrono::milliseconds(0));
  return clean;
}

}  // namespace shoji::accelerator
