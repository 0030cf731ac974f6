// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/proxy_call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "lib/base/bytes.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/deadline.h"
#include "lib/rpc/status.h"

namespace shoji::server {
namespace {

constexpr std::chrono::milliseconds kRetryAfter{200};
constexpr size_t kMaxLoggedModel = 64;
constexpr size_t kLoggedKeyBytes = 4;

SteadyTime DeadlineOf(const CallEnvironment& environment, const grpc::CallbackServerContext& context) {
  const SteadyTime latest = environment.clock.SteadyNow() + environment.limits.max_deadline;
  return std::min(rpc::FromGrpcDeadline(context.deadline(), environment.clock).value_or(latest), latest);
}

// What the caller is told of an enclave's answer. An error without a reason comes from the connection, not the enclave.
absl::Status StatusOfAnswer(const grpc::Status& answer) {
  absl::Status status = rpc::FromGrpcStatus(answer);
  if (status.ok() || ReasonOf(status) != Reason::kUnspecified) {
    return status;
  }
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return ErrorOf(Reason::kNoEnclave);
    case absl::StatusCode::kDeadlineExceeded:
      return ErrorOf(Reason::kDeadline);
    default:
      return status;
  }
}

bool IsWorthRetrying(const absl::Status& status) {
  const Reason reason = ReasonOf(status);
  return reason == Reason::kOverloaded || reason == Reason::kNoEnclave;
}

}  // namespace

void Authenticator::Replace(std::optional<TokenTable> tokens) {
  const absl::MutexLock lock(&mu_);
  tokens_ = std::move(tokens);
}

absl::Status Authenticator::Check(const grpc::CallbackServerContext& context) const {
  const absl::MutexLock lock(&mu_);
  if (!tokens_.has_value()) {
    return absl::OkStatus();
  }
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  if (first == last || std::next(first) != last ||
      !tokens_->AcceptsHeader({first->second.data(), first->second.size()})) {
    return ErrorOf(Reason::kUnauthenticatedClient);
  }
  return absl::OkStatus();
}

void LogCall(CallEnvironment& environment, const CallRecord& record, const absl::Status& status) {
  const std::chrono::duration<double, std::milli> took = environment.clock.SteadyNow() - record.started;
  const std::string key = HexEncode(AsBytes(record.key_id.substr(0, kLoggedKeyBytes)));
  const Reason reason = ReasonOf(status);
  environment.logger.Info("request", {{"method", record.method},
                                      {"model", record.model.substr(0, kMaxLoggedModel)},
                                      {"key", key},
                                      {"enclave", record.enclave},
                                      {"status", absl::StatusCodeToString(status.code())},
                                      {"reason", reason == Reason::kUnspecified ? "" : NameOf(reason)},
                                      {"ms", took.count()},
                                      {"request_bytes", record.request_bytes},
                                      {"response_bytes", record.response_bytes}});
}

ProxyCall::ProxyCall(CallEnvironment& environment, grpc::CallbackServerContext& context, std::string_view method)
    : environment_(environment),
      server_context_(context),
      method_(method),
      started_(environment.clock.SteadyNow()),
      deadline_(DeadlineOf(environment, context)) {}

void ProxyCall::Start() {
  absl::Status status = environment_.authenticator.Check(server_context_);
  if (status.ok()) {
    // A call that cannot be routed takes no slot. It is routed again when it has one: enclaves come and go.
    status = Route().status();
  }
  if (!status.ok()) {
    FinishCall(status);
    return;
  }
  const absl::StatusOr<Admission::Entry> entry = environment_.admission.Enter(*this, deadline_);
  if (!entry.ok()) {
    FinishCall(entry.status());
  } else if (*entry == Admission::Entry::kSlot) {
    OnSlot(absl::OkStatus());
  }
}

void ProxyCall::OnSlot(const absl::Status& status) {
  if (!status.ok()) {
    FinishCall(status);
    return;
  }
  const absl::StatusOr<size_t> enclave = Route();
  if (!enclave.ok()) {
    environment_.admission.Release();
    FinishCall(enclave.status());
    return;
  }
  EnclaveLink& link = *environment_.links[*enclave];
  enclave_ = link.name();
  client_context_.set_deadline(rpc::ToGrpcDeadline(deadline_, environment_.clock));
  Send(link.stub(), client_context_, [this](const grpc::Status& answer) { OnAnswer(answer); });
}

void ProxyCall::OnAnswer(const grpc::Status& answer) {
  environment_.admission.Release();
  FinishCall(StatusOfAnswer(answer));
}

// The client went away or its deadline passed. A call that still waits ends here; one that was sent is cancelled at the
// enclave, whose answer then ends it.
void ProxyCall::OnCancel() {
  if (environment_.admission.Cancel(*this)) {
    const bool is_late = environment_.clock.SteadyNow() >= deadline_;
    FinishCall(is_late ? ErrorOf(Reason::kDeadline) : absl::CancelledError("the client cancelled the call"));
    return;
  }
  client_context_.TryCancel();
}

void ProxyCall::FinishCall(const absl::Status& status) {
  CallRecord record{.method = method_, .started = started_};
  record.enclave = enclave_;
  Describe(record);
  LogCall(environment_, record, status);
  // Last: gRPC may delete this at once.
  Finish(rpc::ToGrpcStatus(IsWorthRetrying(status) ? rpc::WithRetryAfter(status, kRetryAfter) : status));
}

}  // namespace shoji::server
