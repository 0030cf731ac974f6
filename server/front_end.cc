// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/front_end.h"

#include <algorithm>
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
#include "server/health_board.h"
#include "server/intake.h"
#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"

namespace shoji::server {
namespace {

// After a clean drain only answers on their way out, health checks and reflection are left.
constexpr std::chrono::milliseconds kLastAnswers{1000};

// Of one connection, which may be a stranger's.
constexpr int kMaxStreams = 64;
constexpr std::chrono::minutes kMaxConnectionIdle{10};

// Bodies of calls that need no token and are read at a time.
constexpr size_t kOpenBodies = 4;

// Calls that a loop has asked gRPC for ahead of their coming.
constexpr int kAcceptedAhead = 8;

// One thread passes on more requests than several cores of enclaves answer, and needs no hand-over from thread to
// thread.
size_t NumLoops() { return std::clamp<size_t>(std::thread::hardware_concurrency() / 8, 1, 8); }

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

// The end: first the server, so that no call is left, then the links, then the loops that both need, then the rest.
class FrontEndImpl final : public FrontEnd {
 public:
  FrontEndImpl(const Config& config, std::optional<TokenTable> tokens, const Clock& clock, telemetry::Logger& logger)
      : config_(config),
        logger_(logger),
        authenticator_(std::move(tokens)),
        intake_({config.limits.max_buffered_bytes, config.limits.max_message_bytes}, clock),
        open_intake_({kOpenBodies * config.limits.max_message_bytes, config.limits.max_message_bytes}, clock),
        admission_({config.limits.max_in_flight, config.limits.max_queue}, clock),
        router_(config.enclaves.size()),
        health_({v1::InferenceService::service_full_name(), v1::AttestationService::service_full_name()}),
        environment_{config_.limits, clock,   logger,  authenticator_, intake_,         open_intake_,
                     admission_,     router_, health_, links_,         generic_.service} {}
  ~FrontEndImpl() override {
    health_.Shutdown();
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::milliseconds(0));
    }
    links_.clear();
    for (const auto& loop : generic_.loops) {
      loop->Stop();
    }
  }

  absl::Status Run();

  const std::vector<rpc::Address>& addresses() const override { return server_->addresses(); }
  size_t num_in_flight() const override { return admission_.num_in_flight(); }
  size_t num_queued() const override { return admission_.num_queued(); }
  absl::Status Reload() override;
  Drained Drain() override;

 private:
  void UpdateHealth();

  const Config config_;
  telemetry::Logger& logger_;
  Authenticator authenticator_;
  Intake intake_;
  Intake open_intake_;
  Admission admission_;
  Router router_;
  HealthBoard health_;
  absl::Mutex health_mu_;  // makes reading the router and setting the health one step
  bool was_ready_ ABSL_GUARDED_BY(health_mu_) = false;
  bool is_draining_ ABSL_GUARDED_BY(health_mu_) = false;
  std::vector<std::unique_ptr<EnclaveLink>> links_;
  rpc::GenericCalls generic_;
  CallEnvironment environment_;
  std::unique_ptr<rpc::Server> server_;
};

absl::Status FrontEndImpl::Run() {
  rpc::ServerOptions options;
  options.listeners = {config_.listen};
  options.max_message_bytes = config_.limits.max_message_bytes;
  options.max_buffered_bytes = config_.limits.max_buffered_bytes;
  options.max_concurrent_streams = kMaxStreams;
  options.max_connection_idle = kMaxConnectionIdle;
  options.reflection = rpc::Reflection::kOn;
  generic_.num_loops = NumLoops();
  generic_.service_names = {v1::InferenceService::service_full_name(), v1::AttestationService::service_full_name(),
                            grpc::health::v1::Health::service_full_name()};
  ASSIGN_OR_RETURN(server_, rpc::Server::Start(options, {}, &generic_));
  // All links exist before the first call can be routed to one: calls wait until they are accepted.
  for (const EnclaveTarget& target : config_.enclaves) {
    rpc::EventLoop& loop = *generic_.loops[links_.size() % generic_.loops.size()];
    ASSIGN_OR_RETURN(auto link, EnclaveLink::Create(
                                    target, links_.size(), config_.limits.max_message_bytes, loop, router_,
                                    [this] { UpdateHealth(); }, logger_));
    links_.push_back(std::move(link));
  }
  for (const auto& loop : generic_.loops) {
    for (int i = 0; i < kAcceptedAhead; ++i) {
      Call::Accept(environment_, *loop);
    }
  }
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

absl::Status FrontEndImpl::Reload() {
  ASSIGN_OR_RETURN(std::optional<TokenTable> tokens, LoadTokens(config_));
  authenticator_.Replace(std::move(tokens));
  return absl::OkStatus();
}

FrontEnd::Drained FrontEndImpl::Drain() {
  {
    const absl::MutexLock lock(&health_mu_);
    is_draining_ = true;
  }
  admission_.Drain();
  UpdateHealth();
  const bool is_idle = admission_.AwaitIdle(config_.limits.drain_timeout);
  health_.Shutdown();
  server_->Shutdown(is_idle ? kLastAnswers : std::chrono::milliseconds(0));
  return is_idle ? Drained::kAll : Drained::kSomeCutOff;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FrontEnd>> FrontEnd::Start(const Config& config, const Clock& clock,
                                                          telemetry::Logger& logger) {
  ASSIGN_OR_RETURN(std::optional<TokenTable> tokens, LoadTokens(config));
  auto out = std::make_unique<FrontEndImpl>(config, std::move(tokens), clock, logger);
  RETURN_IF_ERROR(out->Run());
  return out;
}

absl::Status CheckConfig(const Config& config) {
  RETURN_IF_ERROR(LoadTokens(config).status());
  RETURN_IF_ERROR(rpc::ServerCredentialsFor(config.listen.security).status());
  for (const EnclaveTarget& target : config.enclaves) {
    RETURN_IF_ERROR(rpc::CreateChannel(target.endpoint, {}).status());
  }
  return absl::OkStatus();
}

}  // namespace shoji::server
