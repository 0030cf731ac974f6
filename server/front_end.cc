// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/front_end.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/health.h"
#include "lib/rpc/server.h"
#include "server/services.h"

namespace shoji::server {
namespace {

// After a clean drain only answers on their way out, health checks and reflection are left.
constexpr std::chrono::milliseconds kLastAnswers{1000};

// Of one connection, which may be a stranger's: tokens are only looked at once a request has arrived.
constexpr int kMaxStreams = 64;
constexpr std::chrono::minutes kMaxConnectionIdle{10};

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

// Members are destroyed in reverse: first the server, so that no call is left, then the links, then what both use.
class FrontEndImpl final : public FrontEnd {
 public:
  FrontEndImpl(const Config& config, std::optional<TokenTable> tokens, const Clock& clock, telemetry::Logger& logger)
      : config_(config),
        logger_(logger),
        authenticator_(std::move(tokens)),
        admission_({config.limits.max_in_flight, config.limits.max_queue}, clock),
        router_(config.enclaves.size()),
        health_({v1::InferenceService::service_full_name(), v1::AttestationService::service_full_name()}),
        environment_{config_.limits, clock, logger, authenticator_, admission_, router_, links_},
        inference_(environment_),
        attestation_(environment_) {}
  ~FrontEndImpl() override {
    health_.Shutdown();
    server_.reset();
    links_.clear();
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
  Admission admission_;
  Router router_;
  rpc::HealthService health_;
  absl::Mutex health_mu_;  // makes reading the router and setting the health one step
  bool was_ready_ ABSL_GUARDED_BY(health_mu_) = false;
  bool is_draining_ ABSL_GUARDED_BY(health_mu_) = false;
  std::vector<std::unique_ptr<EnclaveLink>> links_;
  CallEnvironment environment_;
  InferenceService inference_;
  AttestationService attestation_;
  std::unique_ptr<rpc::Server> server_;
};

absl::Status FrontEndImpl::Run() {
  // All links exist before the first call can be routed to one.
  for (const EnclaveTarget& target : config_.enclaves) {
    ASSIGN_OR_RETURN(auto link, EnclaveLink::Create(
                                    target, links_.size(), config_.limits.max_message_bytes, router_,
                                    [this] { UpdateHealth(); }, logger_));
    links_.push_back(std::move(link));
  }
  rpc::ServerOptions options;
  options.listeners = {config_.listen};
  options.max_message_bytes = config_.limits.max_message_bytes;
  options.max_buffered_bytes = config_.limits.max_buffered_bytes;
  options.max_concurrent_streams = kMaxStreams;
  options.max_connection_idle = kMaxConnectionIdle;
  options.reflection = rpc::Reflection::kOn;
  ASSIGN_OR_RETURN(server_, rpc::Server::Start(options, {&inference_, &attestation_, health_.service()}));
  return absl::OkStatus();
}

void FrontEndImpl::UpdateHealth() {
  const absl::MutexLock lock(&health_mu_);
  const bool is_ready = !is_draining_ && router_.AnyReady();
  health_.Set(is_ready ? rpc::Health::kServing : rpc::Health::kNotServing);
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
