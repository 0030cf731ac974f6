// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <grpcpp/impl/codegen/proto_utils.h>

#include "grpc/health/v1/health.pb.h"
#include "lib/base/bytes.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/deadline.h"
#include "lib/rpc/status.h"
#include "server/version.h"
#include "shoji/v1/attestation.pb.h"
#include "shoji/v1/inference.pb.h"

namespace shoji::server {
namespace {

constexpr std::chrono::milliseconds kRetryAfter{200};
constexpr size_t kMaxLoggedModel = 64;
constexpr size_t kLoggedKeyBytes = 4;

SteadyTime DeadlineOf(const CallEnvironment& environment, const grpc::ServerContext& context) {
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

template <typename Message>
absl::StatusOr<Message> Parse(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer shared = bytes;  // parsing empties it
  Message out;
  if (!grpc::SerializationTraits<Message>::Deserialize(&shared, &out).ok()) {
    return absl::InvalidArgumentError("the request is malformed");
  }
  return out;
}

template <typename Message>
grpc::ByteBuffer Serialize(const Message& message) {
  grpc::ByteBuffer out;
  bool owns_buffer = false;
  // Fails only beyond 2 GiB.
  static_cast<void>(grpc::SerializationTraits<Message>::Serialize(message, &out, &owns_buffer));
  return out;
}

}  // namespace

void Call::Accept(CallEnvironment& environment, rpc::EventLoop& loop) {
  new Call(environment, loop);  // deletes itself
}

Call::Call(CallEnvironment& environment, rpc::EventLoop& loop) : environment_(environment), loop_(loop) {
  context_.AsyncNotifyWhenDone(&done_event_);
  environment.generic.RequestCall(&context_, &stream_, &loop.queue(), &loop.queue(), &accepted_event_);
}

Call::~Call() {
  if (is_in_intake_) {
    intake().Leave(*this);
  }
}

void Call::Release() {
  if (num_pending_.fetch_sub(1) == 1) {
    delete this;
  }
}

void Call::OnAccepted(bool ok) {
  if (!ok) {
    Release();  // the server stops, and no call came of this
    return;
  }
  Accept(environment_, loop_);
  Begin();
}

// The head of the call is there, its body has not been read.
void Call::Begin() {
  started_ = environment_.clock.SteadyNow();
  deadline_ = DeadlineOf(environment_, context_);
  method_ = FindMethod(context_.method());
  if (method_ == nullptr) {
    ++num_pending_;
    stream_.Finish({grpc::StatusCode::UNIMPLEMENTED, "no such method"}, &finished_event_);
    return;
  }
  absl::Status status = method_->needs_token() ? environment_.authenticator.Check(context_) : absl::OkStatus();
  if (status.ok()) {
    status = intake().Enter(*this);
    is_in_intake_ = status.ok();
  }
  if (!status.ok()) {
    Finish(status);
    return;
  }
  ++num_pending_;
  stream_.Read(&request_, &read_event_);
}

void Call::OnCutOff() { Finish(ErrorOf(Reason::kOverloaded)); }

void Call::OnRead(bool ok) {
  if (intake().Arrived(*this, ok ? request_.Length() : 0)) {
    if (is_cancelled_) {
      Finish(absl::CancelledError("the client cancelled the call"));
    } else if (ok) {
      Handle();
    } else {
      Finish(absl::InvalidArgumentError("the call ended before its request was whole"));
    }
  }
  Release();
}

void Call::Handle() {
  switch (method_->handling) {
    case Handling::kForwardByKey:
    case Handling::kForwardByModel:
      Forward();
      break;
    case Handling::kVersion: {
      v1::GetVersionResponse version;
      version.set_protocol_version(kProtocolVersion);
      version.set_software_version(kSoftwareVersion);
      response_ = Serialize(version);
      Finish(absl::OkStatus());
      break;
    }
    case Handling::kModels:
      response_ = Serialize(environment_.router.Models());
      Finish(absl::OkStatus());
      break;
    case Handling::kHealthCheck:
      AnswerHealthCheck();
      break;
    case Handling::kHealthWatch:
      WatchHealth();
      break;
  }
}

absl::Status Call::ReadRoute() {
  if (method_->handling == Handling::kForwardByModel) {
    ASSIGN_OR_RETURN(const auto request, Parse<v1::GetEvidenceRequest>(request_));
    model_ = request.model();
    sealed_digest_ = request.sealed_digest();
  } else if (method_->name == "ReleaseKey") {
    ASSIGN_OR_RETURN(const auto request, Parse<v1::ReleaseKeyRequest>(request_));
    key_id_ = request.key_id();
    model_ = request.model();
  } else if (method_->name == "Infer") {
    ASSIGN_OR_RETURN(const auto request, Parse<v1::InferRequest>(request_));
    key_id_ = request.key_id();
    model_ = request.model();
  } else {
    ASSIGN_OR_RETURN(const auto request, Parse<v1::OpenSessionRequest>(request_));
    key_id_ = request.key_id();
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> Call::Route() {
  if (method_->handling == Handling::kForwardByKey) {
    return environment_.router.ByKey(key_id_);
  }
  return sealed_digest_.empty() ? environment_.router.ByModel(model_)
                                : environment_.router.BySealedDigest(sealed_digest_);
}

void Call::Forward() {
  absl::Status status = ReadRoute();
  if (status.ok()) {
    // A call that cannot be routed takes no slot. It is routed again when it has one: enclaves come and go.
    status = Route().status();
  }
  if (!status.ok()) {
    Finish(status);
    return;
  }
  ++num_pending_;  // the wait for a slot
  const absl::StatusOr<Admission::Entry> entry = environment_.admission.Enter(*this, deadline_);
  if (!entry.ok()) {
    Finish(entry.status());
    Release();
  } else if (*entry == Admission::Entry::kSlot) {
    OnSlot(absl::OkStatus());
  }
}

void Call::OnSlot(const absl::Status& status) {
  if (!status.ok()) {
    Finish(status);
  } else if (const absl::StatusOr<size_t> enclave = Route(); enclave.ok()) {
    if (method_->handling == Handling::kForwardByModel) {
      environment_.router.TakeTurn(*enclave);
    }
    Send(*environment_.links[*enclave]);
  } else {
    environment_.admission.Release();
    Finish(enclave.status());
  }
  Release();
}

void Call::Send(EnclaveLink& link) {
  enclave_ = link.name();
  client_context_.set_deadline(rpc::ToGrpcDeadline(deadline_, environment_.clock));
  ++num_pending_;
  forwarded_ = link.stub().PrepareUnaryCall(&client_context_, method_->enclave_path, request_, &loop_.queue());
  forwarded_->StartCall();
  forwarded_->Finish(&response_, &answer_, &answered_event_);
}

void Call::OnAnswered(bool /*ok*/) {
  Finish(StatusOfAnswer(answer_));
  environment_.admission.Release();
  Release();
}

void Call::AnswerHealthCheck() {
  const auto request = Parse<grpc::health::v1::HealthCheckRequest>(request_);
  if (!request.ok()) {
    Finish(request.status());
    return;
  }
  const absl::StatusOr<HealthBoard::Status> health = environment_.health.Check(request->service());
  if (health.ok()) {
    grpc::health::v1::HealthCheckResponse response;
    response.set_status(*health);
    response_ = Serialize(response);
  }
  Finish(health.status());
}

void Call::WatchHealth() {
  const auto request = Parse<grpc::health::v1::HealthCheckRequest>(request_);
  if (!request.ok()) {
    Finish(request.status());
    return;
  }
  request_.Clear();
  intake().Leave(*this);
  ++num_pending_;  // being on the board
  is_watching_ = true;
  environment_.health.Watch(*this, request->service());
}

void Call::OnHealth(HealthBoard::Status status) {
  grpc::health::v1::HealthCheckResponse response;
  response.set_status(status);
  ++num_pending_;
  stream_.Write(Serialize(response), &written_event_);
}

void Call::OnWritten(bool ok) {
  if (ok) {
    environment_.health.Written(*this);
  } else {
    environment_.health.Leave(*this, absl::CancelledError("the stream broke"));
  }
  Release();
}

void Call::OnEnd(const absl::Status& status) {
  ++num_pending_;
  stream_.Finish(rpc::ToGrpcStatus(status), &finished_event_);
  --num_pending_;  // being on the board; not the last one
}

// All is over, or the client went away or its deadline passed. A call that still waits ends here; one that was sent is
// cancelled at the enclave, whose answer then ends it; one whose body is being read ends when that fails.
void Call::OnDone(bool /*ok*/) {
  is_cancelled_ = context_.IsCancelled();
  if (is_cancelled_) {
    if (is_watching_) {
      environment_.health.Leave(*this, absl::CancelledError("cancelled"));
    } else if (environment_.admission.Cancel(*this)) {
      const bool is_late = environment_.clock.SteadyNow() >= deadline_;
      Finish(is_late ? ErrorOf(Reason::kDeadline) : absl::CancelledError("the client cancelled the call"));
      Release();  // the wait for a slot
    } else {
      client_context_.TryCancel();
    }
  }
  Release();
}

void Call::Finish(const absl::Status& status) {
  ++num_pending_;
  if (status.ok()) {
    stream_.WriteAndFinish(response_, {}, grpc::Status::OK, &finished_event_);
  } else {
    stream_.Finish(rpc::ToGrpcStatus(IsWorthRetrying(status) ? rpc::WithRetryAfter(status, kRetryAfter) : status),
                   &finished_event_);
  }
  // The answer is on its way: logging delays nobody.
  if (method_->needs_token()) {
    Log(status);
  }
}

void Call::OnFinished(bool /*ok*/) { Release(); }

void Call::Log(const absl::Status& status) const {
  const std::chrono::duration<double, std::milli> took = environment_.clock.SteadyNow() - started_;
  const std::string key = HexEncode(AsBytes(key_id_).first(std::min(key_id_.size(), kLoggedKeyBytes)));
  const Reason reason = ReasonOf(status);
  environment_.logger.Info("request", {{"method", method_->name},
                                       {"model", std::string_view(model_).substr(0, kMaxLoggedModel)},
                                       {"key", key},
                                       {"enclave", enclave_},
                                       {"status", absl::StatusCodeToString(status.code())},
                                       {"reason", reason == Reason::kUnspecified ? "" : NameOf(reason)},
                                       {"ms", took.count()},
                                       {"request_bytes", request_.Length()},
                                       {"response_bytes", response_.Length()}});
}

}  // namespace shoji::server
