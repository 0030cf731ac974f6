// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/accelerator_server.h"

#include <optional>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/rpc/listener_identity.h"

namespace shoji::accelerator {
namespace {

// Tenants choose what is traced, but not how much is logged: 100 lines a second at most.
constexpr std::chrono::milliseconds kTraceInterval(10);

}  // namespace

AcceleratorServer::AcceleratorServer(const Config& config, std::unique_ptr<Backend> backend, const Clock& clock,
                                     telemetry::Logger& log, metrics::Exporter& exporter)
    : fixed_(config.fixed),
      clock_(clock),
      log_(log),
      backend_(std::move(backend)),
      metrics_(exporter),
      traces_(clock, kTraceInterval),
      queue_({.num_threads = config.num_workers, .max_queued = config.max_queue}),
      tenants_(config.tenants, {.backend = *backend_,
                                .queue = queue_,
                                .clock = clock,
                                .log = log,
                                .metrics = &metrics_,
                                .traces = &traces_}),
      collecting_(exporter,
                  [this] {
                    AcceleratorState state = tenants_.state();
                    state.queued = queue_.num_queued();
                    return CollectFrom(state, SHOJI_VERSION, backend_->name());
                  }),
      service_(AcceleratorService::Create({.software_version = SHOJI_VERSION, .backend = backend_->name()}, tenants_)),
      health_({"shoji.internal.v1.AcceleratorService"}) {}

absl::StatusOr<std::unique_ptr<AcceleratorServer>> AcceleratorServer::Start(const Config& config,
                                                                            std::unique_ptr<Backend> backend,
                                                                            const Clock& clock, telemetry::Logger& log,
                                                                            metrics::Exporter& exporter) {
  std::unique_ptr<AcceleratorServer> out(new AcceleratorServer(config, std::move(backend), clock, log, exporter));
  rpc::ServerOptions options;
  options.listeners = {config.listen};
  options.max_message_bytes = config.max_message_bytes;
  options.reflection = rpc::Reflection::kOn;
  ASSIGN_OR_RETURN(out->server_, rpc::Server::Start(options, {&out->service_->service(), out->health_.service()}));
  out->health_.Set(rpc::Health::kServing);
  return out;
}

absl::Status AcceleratorServer::TryReload(const Config& config) {
  RETURN_IF_ERROR(fixed_.CheckUnchanged(config.fixed));
  ASSIGN_OR_RETURN(std::optional<rpc::ListenerFiles> files, rpc::LoadListenerFiles(config.listen.security));
  // Nothing fails from here on.
  if (files.has_value()) {
    server_->ReplaceIdentity(0, *std::move(files));
  }
  queue_.SetMaxQueued(config.max_queue);
  tenants_.Configure(config.tenants);
  log_.SetLevel(config.log.level);
  return absl::OkStatus();
}

absl::Status AcceleratorServer::Reload(const Config& config) {
  absl::Status status = TryReload(config);
  metrics_.Reloaded(status.ok() ? metrics::ReloadResult::kAccepted : metrics::ReloadResult::kRefused);
  return status;
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
