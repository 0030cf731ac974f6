// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/telemetry/log.h"
#include "server/admission.h"
#include "server/config.h"
#include "server/enclave_link.h"
#include "server/router.h"
#include "server/token_table.h"

namespace shoji::server {

// The tokens in force, which a reload replaces. Thread-safe.
class Authenticator {
 public:
  explicit Authenticator(std::optional<TokenTable> tokens) : tokens_(std::move(tokens)) {}
  void Replace(std::optional<TokenTable> tokens);
  // UNAUTHENTICATED_CLIENT unless tokens are not asked for, or the call carries exactly one `authorization` that is
  // accepted.
  absl::Status Check(const grpc::CallbackServerContext& context) const;

 private:
  mutable absl::Mutex mu_;
  std::optional<TokenTable> tokens_ ABSL_GUARDED_BY(mu_);
};

// What every call works with; owned by the front end and outlives all calls.
struct CallEnvironment {
  const Limits& limits;
  const Clock& clock;
  telemetry::Logger& logger;
  const Authenticator& authenticator;
  Admission& admission;
  Router& router;
  std::vector<std::unique_ptr<EnclaveLink>>& links;
};

// Writes the log line of a finished call.
struct CallRecord {
  std::string_view method;
  std::string_view model = {};  // as the caller wrote it
  std::string_view key_id = {};
  std::string_view enclave = {};
  size_t request_bytes = 0;
  size_t response_bytes = 0;
  SteadyTime started;
};
void LogCall(CallEnvironment& environment, const CallRecord& record, const absl::Status& status);

// The life of one call that an enclave answers: token, route, slot, send, answer; one log line. It deletes itself when
// gRPC is done with it. Cancellation and the deadline go on to the enclave.
class ProxyCall : public grpc::ServerUnaryReactor, private Admission::Waiter {
 public:
  void OnCancel() final;
  void OnDone() final { delete this; }

  // Call once, from the handler, which returns this.
  void Start();

 protected:
  ProxyCall(CallEnvironment& environment, grpc::CallbackServerContext& context, std::string_view method);

  virtual absl::StatusOr<size_t> Route() = 0;
  virtual void Send(internal::v1::EnclaveService::Stub& stub, grpc::ClientContext& context,
                    std::function<void(grpc::Status)> done) = 0;
  // Fills in what the request and the response say.
  virtual void Describe(CallRecord& record) const = 0;

  Router& router() { return environment_.router; }

 private:
  void OnSlot(const absl::Status& status) final;
  void OnAnswer(const grpc::Status& answer);
  void FinishCall(const absl::Status& status);

  CallEnvironment& environment_;
  grpc::CallbackServerContext& server_context_;
  const std::string_view method_;
  const SteadyTime started_;
  const SteadyTime deadline_;
  grpc::ClientContext client_context_;
  std::string_view enclave_;
};

}  // namespace shoji::server
