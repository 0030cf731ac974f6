// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/front_end.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/server.h"
#include "server/authenticator.h"
#include "server/call.h"
#include "server/enclave_table.h"
#include "server/health_board.h"
#include "server/intake.h"
#include "server/lanes.h"
#include "server/server_metrics.h"
#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"

namespace shoji::server {
namespace {

// After a clean drain only answers on their way out, health checks and reflection are left.
constexpr std::chrono::milliseconds kLastAnswers{1000};

// Of one connection, which may be a stranger's. More than an enclave's slots and queue: a caller with one connection is
// to be told that they are full, and not to wait for a stream to find out.
constexpr int kMaxStreams = 512;

// Calls that a loop has asked gRPC for ahead of their coming.
constexpr int kAcceptedAhead = 8;

// On its loop: accepted, read, answered, written, finished, done, and its alarm.
constexpr double kEventsPerCall = 7;

// Bodies of calls that need no token and are read at a time. They are tiny and come with their heads: one that has not
// come is cut off for the next call at once, or strangers who send none would keep out who asks for the server's
// health. More than are accepted before the first of them is read.
constexpr size_t kOpenBodies = size_t{2} * kAcceptedAhead;
constexpr std::chrono::nanoseconds kOpenGrace{0};

// Between two lines about callers who have no token.
constexpr std::chrono::milliseconds kStrangerLog{100};

absl::StatusOr<std::optional<TokenTable>> LoadTokens(const Config& config) {
  if (!config.tokens_file.has_value()) {
    return std::nullopt;
  }
  absl::StatusOr<TokenTable> tokens = TokenTable::Load(*config.tokens_file);
  if (!tokens.ok()) {
    return absl::Status(tokens.status().code(), config.tokens_where + ": " + std::string(tokens.status().message()));
  }
  return *std::move(tokens);
}

std::chrono::milliseconds Millis(std::chrono::nanoseconds time) {
  return std::chrono::ceil<std::chrono::milliseconds>(time);
}

Intake::Options IntakeOf(const Limits& limits) {
  return {.max_bytes = limits.max_buffered_bytes,
          .max_message_bytes = limits.max_message_bytes,
          .max_stall = limits.max_deadline};
}

Intake::Options OpenIntakeOf(const Limits& limits) {
  Intake::Options options = IntakeOf(limits);
  options.max_bytes = kOpenBodies * limits.max_message_bytes;
  options.grace = kOpenGrace;
  return options;
}

// The end: first the server, so that no call is left, then the enclaves' links, then the loops that both need, then the
// rest.
class FrontEndImpl final : public FrontEnd {
 public:
  FrontEndImpl(const Config& config, const std::optional<TokenTable>& tokens, const Clock& clock,
               telemetry::Logger& logger, std::unique_ptr<metrics::Exporter> exporter)
      : config_(config),
        logger_(logger),
        exporter_(std::move(exporter)),
        strangers_(clock, kStrangerLog),
        metrics_(*exporter_),
        live_limits_(config.limits.max_deadline),
        authenticator_(tokens, config.limits.per_token),
        intake_(IntakeOf(config.limits), clock),
        open_intake_(OpenIntakeOf(config.limits), clock),
        admission_({}, clock),
        router_(0),
        health_({v1::InferenceService::service_full_name(), v1::AttestationService::service_full_name()}),
        enclaves_({.loops = async_.loops,
                   .router = router_,
                   .admission = admission_,
                   .logger = logger,
                   .max_message_bytes = config.limits.max_message_bytes,
                   .on_change = [this] { UpdateHealth(); }}),
        environment_{live_limits_, clock,      logger,  strangers_, metrics_,  authenticator_, intake_,
                     open_intake_, admission_, router_, health_,    enclaves_, generic_} {}
  ~FrontEndImpl() override {
    collector_.reset();
    health_.Shutdown();
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::milliseconds(0));
    }
    for (const auto& loop : async_.loops) {
      loop->AwaitHolds();  // calls use the enclaves
    }
    enclaves_.Stop();
    for (const auto& loop : async_.loops) {
      loop->Stop();
    }
  }

  absl::Status Run();

  const std::vector<rpc::Address>& addresses() const override { return server_->addresses(); }
  const std::optional<rpc::Address>& metrics_address() const override { return exporter_->address(); }
  size_t num_in_flight() const override { return admission_.num_in_flight(); }
  size_t num_queued() const override { return admission_.num_queued(); }
  absl::Status Reload(const Config& config) override;
  void CountRefusedReload() override { metrics_.Reloaded(metrics::ReloadResult::kRefused); }
  Drained Drain() override;

 private:
  absl::Status StartServer();
  void UpdateHealth();
  absl::Status TryReload(const Config& config);

  const Config config_;  // as at the start
  telemetry::Logger& logger_;
  const std::unique_ptr<metrics::Exporter> exporter_;
  telemetry::RateLimit strangers_;
  ServerMetrics metrics_;
  LiveLimits live_limits_;
  Authenticator authenticator_;
  Intake intake_;
  Intake open_intake_;
  Admission admission_;
  Router router_;
  HealthBoard health_;
  absl::Mutex health_mu_;  // makes reading the router and setting the health one step
  bool was_ready_ ABSL_GUARDED_BY(health_mu_) = false;
  bool is_draining_ ABSL_GUARDED_BY(health_mu_) = false;
  grpc::AsyncGenericService generic_;
  rpc::AsyncCalls async_ = {.generic = &generic_};
  EnclaveTable enclaves_;
  CallEnvironment environment_;
  std::unique_ptr<rpc::Server> server_;
  std::optional<metrics::Exporter::ScopedCollector> collector_;
  std::atomic<std::chrono::nanoseconds> drain_timeout_ = config_.limits.drain_timeout;
};

absl::Status FrontEndImpl::StartServer() {
  const Connections& connections = config_.connections;
  rpc::ServerOptions options;
  options.listeners = {config_.listen};
  options.max_message_bytes = config_.limits.max_message_bytes;
  options.max_buffered_bytes = config_.limits.max_buffered_bytes;
  options.max_concurrent_streams = kMaxStreams;
  options.max_connection_idle = Millis(connections.idle);
  if (connections.max_age.count() > 0) {
    options.max_connection_age = Millis(connections.max_age);
  }
  options.max_connection_age_grace = Millis(connections.age_grace);
  options.keepalive = Millis(connections.keepalive);
  options.keepalive_timeout = Millis(connections.keepalive_timeout);
  options.reflection = rpc::Reflection::kOn;
  async_.num_loops = rpc::NumEventLoops();
  async_.coalescing.wait = config_.coalesce;
  async_.coalescing.events_per_call = kEventsPerCall;
  async_.service_names = {v1::InferenceService::service_full_name(), v1::AttestationService::service_full_name(),
                          grpc::health::v1::Health::service_full_name()};
  ASSIGN_OR_RETURN(server_, rpc::Server::Start(options, {}, &async_));
  return absl::OkStatus();
}

absl::Status FrontEndImpl::Run() {
  RETURN_IF_ERROR(StartServer());
  // All links exist before the first call can be routed to one: calls wait until they are accepted.
  ASSIGN_OR_RETURN(EnclaveTable::Prepared enclaves, enclaves_.Prepare(config_.enclaves));
  enclaves_.Commit(std::move(enclaves), config_.limits);
  for (const auto& loop : async_.loops) {
    for (int i = 0; i < kAcceptedAhead; ++i) {
      Call::Accept(environment_, *loop);
    }
  }
  const ServerSources sources{intake_, open_intake_, admission_, router_, authenticator_, enclaves_};
  collector_.emplace(*exporter_, [sources] { return CollectFrom(sources); });
  return absl::OkStatus();
}

void FrontEndImpl::UpdateHealth() {
  const absl::MutexLock lock(&health_mu_);
  const bool is_ready = !is_draining_ && router_.AnyReady();
  health_.SetServing(is_ready);
  if (is_ready != was_ready_) {
    was_ready_ = is_ready;
    logger_.Info(is_ready ? "ready" : "not_ready");
  }
}

absl::Status FrontEndImpl::TryReload(const Config& config) {
  RETURN_IF_ERROR(config_.fixed.CheckUnchanged(config.fixed));
  ASSIGN_OR_RETURN(const std::optional<TokenTable> tokens, LoadTokens(config));
  ASSIGN_OR_RETURN(std::optional<rpc::ListenerFiles> files, rpc::LoadListenerFiles(config.listen.security));
  ASSIGN_OR_RETURN(EnclaveTable::Prepared enclaves, enclaves_.Prepare(config.enclaves));
  // Nothing fails from here on.
  const Limits& limits = config.limits;
  if (files.has_value()) {
    server_->ReplaceIdentity(0, *std::move(files));
  }
  server_->SetMaxBufferedBytes(limits.max_buffered_bytes);
  intake_.Configure(limits.max_buffered_bytes, limits.max_deadline);
  open_intake_.Configure(kOpenBodies * limits.max_message_bytes, limits.max_deadline);
  live_limits_.set_max_deadline(limits.max_deadline);
  drain_timeout_ = limits.drain_timeout;
  authenticator_.Replace(tokens, limits.per_token);
  logger_.SetLevel(config.log.level);
  enclaves_.Commit(std::move(enclaves), limits);
  return absl::OkStatus();
}

absl::Status FrontEndImpl::Reload(const Config& config) {
  absl::Status status = TryReload(config);
  metrics_.Reloaded(status.ok() ? metrics::ReloadResult::kAccepted : metrics::ReloadResult::kRefused);
  return status;
}

FrontEnd::Drained FrontEndImpl::Drain() {
  {
    const absl::MutexLock lock(&health_mu_);
    is_draining_ = true;
  }
  admission_.Drain();
  UpdateHealth();
  const bool is_idle = admission_.AwaitIdle(drain_timeout_.load());
  health_.Shutdown();
  server_->Shutdown(is_idle ? kLastAnswers : std::chrono::milliseconds(0));
  return is_idle ? Drained::kAll : Drained::kSomeCutOff;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FrontEnd>> FrontEnd::Start(const Config& config, const Clock& clock,
                                                          telemetry::Logger& logger) {
  ASSIGN_OR_RETURN(const std::optional<TokenTable> tokens, LoadTokens(config));
  ASSIGN_OR_RETURN(auto exporter, metrics::Exporter::Start(config.metrics));
  auto out = std::make_unique<FrontEndImpl>(config, tokens, clock, logger, std::move(exporter));
  RETURN_IF_ERROR(out->Run());
  return out;
}

absl::Status CheckConfig(const Config& config) {
  RETURN_IF_ERROR(LoadTokens(config).status());
  RETURN_IF_ERROR(rpc::LoadListenerFiles(config.listen.security).status());
  for (const EnclaveTarget& target : config.enclaves) {
    RETURN_IF_ERROR(rpc::CreateChannel(target.endpoint, {}).status());
  }
  return absl::OkStatus();
}

}  // namespace shoji::server
