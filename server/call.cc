// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/call.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "grpc/health/v1/health.pb.h"
#include "lib/base/bytes.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/deadline.h"
#include "lib/rpc/status.h"
#include "lib/rpc/trace.h"
#include "lib/telemetry/trace_context.h"
#include "server/message.h"
#include "server/version.h"
#include "shoji/v1/attestation.pb.h"
#include "shoji/v1/inference.pb.h"

namespace shoji::server {
namespace {

using std::chrono::milliseconds;

// When nothing better is known.
constexpr milliseconds kRetryAfter{200};
constexpr milliseconds kMinRetryAfter{10};
constexpr milliseconds kMaxRetryAfter{10'000};
// Of gRPC's retry design (proposal A6): what stock clients with a retry policy heed.
constexpr char kPushback[] = "grpc-retry-pushback-ms";
// Enclaves that are lost while a call waits for them, one after the other.
constexpr int kMaxRoutes = 4;
constexpr size_t kMaxLoggedModel = 64;
constexpr size_t kLoggedKeyBytes = 4;

// What the caller is told of an enclave's answer. An error without a reason comes from the connection, not the enclave.
absl::Status StatusOfAnswer(const grpc::Status& answer) {
  absl::Status status = rpc::FromGrpcStatus(answer);
  if (status.ok() || ReasonOf(status) != Reason::kUnspecified) {
    return status;
  }
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
      return ErrorOf(Reason::kNoEnclave);
    case absl::StatusCode::kDeadlineExceeded:
      return ErrorOf(Reason::kDeadline);
    default:
      return status;
  }
}

// An answer that no enclave gave: Shoji's own errors have a reason. CANCELLED is what gRPC makes of a call at a server
// that stops.
bool IsConnectionLost(const grpc::Status& answer) {
  return (answer.error_code() == grpc::StatusCode::UNAVAILABLE || answer.error_code() == grpc::StatusCode::CANCELLED) &&
         ReasonOf(rpc::FromGrpcStatus(answer)) == Reason::kUnspecified;
}

bool IsWorthRetrying(const absl::Status& status) {
  const Reason reason = ReasonOf(status);
  return reason == Reason::kOverloaded || reason == Reason::kNoEnclave;
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
  if (account_ != nullptr) {
    account_->Leave();
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

void Call::TakeDeadline() {
  const SteadyTime latest = started_ + environment_.limits.max_deadline();
  const SteadyTime wanted = rpc::FromGrpcDeadline(context_.deadline(), environment_.clock).value_or(SteadyTime::max());
  is_deadline_ours_ = latest < wanted;
  deadline_ = std::min(wanted, latest);
}

// The head of the call is there, its body has not been read.
void Call::Begin() {
  started_ = environment_.clock.SteadyNow();
  TakeDeadline();
  method_ = FindMethod(context_.method());
  if (method_ == nullptr) {
    ++num_pending_;
    environment_.metrics.Ended(nullptr, absl::StatusCode::kUnimplemented, {});
    stream_.Finish({grpc::StatusCode::UNIMPLEMENTED, "no such method"}, &finished_event_);
    return;
  }
  trace_parent_ = rpc::TraceParentOf(context_);
  if (const std::optional<Refusal> refusal = JudgeHead()) {
    Refuse(*refusal);
    return;
  }
  ++num_pending_;
  stream_.Read(&request_, &read_event_);
}

std::optional<Refusal> Call::JudgeHead() {
  if (method_->needs_token()) {
    const absl::StatusOr<std::shared_ptr<Account>> account = environment_.authenticator.Check(context_);
    if (!account.ok()) {
      return Refusal::kUnauthenticated;
    }
    const Account::Verdict verdict = (*account)->Enter(started_, retry_after_);
    if (verdict != Account::Verdict::kAdmitted) {
      return verdict == Account::Verdict::kRate ? Refusal::kTokenRate : Refusal::kTokenInFlight;
    }
    account_ = *account;
  }
  if (const std::optional<Refusal> refusal = ForeseeQueue()) {
    return refusal;
  }
  const bool is_anyone = account_ == nullptr || environment_.authenticator.IsAnyone(*account_);
  is_in_intake_ = intake().Enter(*this, is_anyone ? nullptr : account_.get()).ok();
  return is_in_intake_ ? std::nullopt : std::optional<Refusal>(Refusal::kMemory);
}

// The enclave that the call is for is named in its body: it is refused when none of those it could be for would take
// it. One that is taken may still find the queue full when its body has come.
std::optional<Refusal> Call::ForeseeQueue() {
  if (method_->enclave_path.empty()) {
    return std::nullopt;
  }
  std::optional<Refusal> refusal;
  for (size_t i = 0; i < environment_.enclaves.size(); ++i) {
    if (!environment_.router.IsConnected(i)) {
      continue;
    }
    const size_t lane = LaneOf(i, work());
    const std::optional<Refusal> foreseen = RefusalOf(environment_.admission.Foresee(lane, account_.get()));
    if (!foreseen.has_value()) {
      return std::nullopt;
    }
    const std::chrono::nanoseconds wait = environment_.admission.ExpectedWait(lane, account_.get());
    retry_after_ = refusal.has_value() ? std::min(retry_after_, wait) : wait;
    refusal = foreseen;
  }
  return refusal;
}

// Under the intake's lock.
void Call::OnCutOff() {
  if (is_ended_) {
    context_.TryCancel();  // nobody takes its answer
  } else {
    Refuse(Refusal::kMemory);
  }
}

void Call::OnRead(bool ok) {
  if (intake().Arrived(*this, ok ? request_.Length() : 0)) {
    request_bytes_ = ok ? request_.Length() : 0;
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
  const Router::Load load = [this](size_t enclave) {
    const Admission& admission = environment_.admission;
    return admission.num_in_flight(LaneOf(enclave, Work::kRequest)) +
           admission.num_queued(LaneOf(enclave, Work::kRequest)) +
           admission.num_in_flight(LaneOf(enclave, Work::kEvidence));
  };
  return sealed_digest_.empty() ? environment_.router.ByModel(model_, load)
                                : environment_.router.BySealedDigest(sealed_digest_, load);
}

void Call::Forward() {
  const absl::Status status = ReadRoute();
  if (!status.ok()) {
    Finish(status);
    return;
  }
  queued_at_ = environment_.clock.SteadyNow();
  if (is_deadline_ours_) {
    ++num_pending_;
    alarm_.emplace();
    alarm_->Set(&loop_.queue(), rpc::ToGrpcDeadline(deadline_, environment_.clock), &late_event_);
  }
  Queue();
}

void Call::Queue() {
  // A call that cannot be routed waits for nothing.
  const absl::StatusOr<size_t> enclave = Route();
  if (!enclave.ok() || ++num_routed_ > kMaxRoutes) {
    Finish(enclave.ok() ? ErrorOf(Reason::kNoEnclave) : enclave.status());
    return;
  }
  if (method_->handling == Handling::kForwardByModel) {
    environment_.router.TakeTurn(*enclave);
  }
  enclave_ = *enclave;
  connection_ = environment_.enclaves.Find(*enclave);
  ++num_pending_;  // the wait for a slot
  const Admission::Verdict verdict =
      environment_.admission.Enter(LaneOf(*enclave, work()), *this, account_.get(), deadline_);
  if (verdict != Admission::Verdict::kQueued) {
    OnVerdict(verdict);
  } else if (is_cancelled_ && environment_.admission.Cancel(*this)) {
    // It was cancelled between two waits.
    Finish(absl::CancelledError("the client cancelled the call"));
    Release();
  }
}

bool Call::IsThere(size_t enclave) const {
  if (method_->handling == Handling::kForwardByModel) {
    return environment_.router.IsConnected(enclave);
  }
  const absl::StatusOr<size_t> holder = environment_.router.ByKey(key_id_);
  return holder.ok() && *holder == enclave;
}

void Call::OnVerdict(Admission::Verdict verdict) {
  if (const std::optional<Refusal> refusal = RefusalOf(verdict)) {
    retry_after_ = environment_.admission.ExpectedWait(LaneOf(*enclave_, work()), account_.get());
    Refuse(*refusal);
  } else if (verdict == Admission::Verdict::kFlushed) {
    Queue();
  } else {
    // Enclaves come and go: the one that the slot is at may be gone, or have got a new key.
    generation_ = environment_.router.Generation(*enclave_);
    if (connection_ != nullptr && IsThere(*enclave_)) {
      waited_ = environment_.clock.SteadyNow() - queued_at_;
      environment_.metrics.Waited(waited_);
      Send();
    } else {
      environment_.admission.Release(LaneOf(*enclave_, work()));
      Queue();
    }
  }
  Release();
}

// A deadline that the caller does not know of has passed.
void Call::OnLate(bool ok) {
  if (ok && environment_.admission.Cancel(*this)) {
    Refuse(Refusal::kDeadline);
    Release();  // the wait for a slot
  }
  Release();
}

void Call::Send() {
  client_context_.set_deadline(rpc::ToGrpcDeadline(deadline_, environment_.clock));
  if (!trace_parent_.empty()) {
    client_context_.AddMetadata(telemetry::kTraceParentKey, trace_parent_);
  }
  ++num_pending_;
  forwarded_ = connection_->stub.PrepareUnaryCall(&client_context_, method_->enclave_path, request_, &loop_.queue());
  forwarded_->StartCall();
  forwarded_->Finish(&response_, &answer_, &answered_event_);
}

void Call::OnAnswered(bool /*ok*/) {
  const bool is_given_up = is_cancelled_ && answer_.error_code() == grpc::StatusCode::CANCELLED;
  if (!is_given_up && IsConnectionLost(answer_)) {
    // Before the slot is free: what gets it would be lost like this one.
    environment_.enclaves.OnConnectionLost(*enclave_, generation_);
  }
  Finish(is_given_up ? absl::CancelledError("the client cancelled the call") : StatusOfAnswer(answer_));
  environment_.admission.Release(LaneOf(*enclave_, work()));
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
  Release();  // being on the board; the last, if the loop has been quicker
}

// All is over, or the client went away or its deadline passed. A call that still waits ends here; one that was sent is
// cancelled at the enclave, whose answer then ends it; one whose body is being read ends when that fails.
void Call::OnDone(bool /*ok*/) {
  is_cancelled_ = context_.IsCancelled();
  if (is_cancelled_) {
    if (is_watching_) {
      environment_.health.Leave(*this, absl::CancelledError("cancelled"));
    } else if (environment_.admission.Cancel(*this)) {
      if (environment_.clock.SteadyNow() >= deadline_) {
        Refuse(Refusal::kDeadline);
      } else {
        Finish(absl::CancelledError("the client cancelled the call"));
      }
      Release();  // the wait for a slot
    } else {
      client_context_.TryCancel();
    }
  }
  Release();
}

void Call::Refuse(Refusal refusal) {
  refusal_ = refusal;
  environment_.metrics.Refused(refusal);
  Finish(StatusOf(refusal));
}

// Zero: a retry makes no sense, or elsewhere only.
milliseconds Call::RetryAfter(const absl::Status& status) const {
  const milliseconds advised = rpc::RetryAfterOf(status);
  if (advised.count() > 0 || !IsWorthRetrying(status)) {
    return advised;  // the enclave's own
  }
  if (!refusal_.has_value() || retry_after_.count() == 0) {
    return kRetryAfter;
  }
  return std::clamp(std::chrono::ceil<milliseconds>(retry_after_), kMinRetryAfter, kMaxRetryAfter);
}

void Call::Finish(const absl::Status& status) {
  ++num_pending_;
  is_ended_ = true;
  if (alarm_.has_value()) {
    alarm_->Cancel();
  }
  const size_t response_bytes = response_.Length();
  if (status.ok()) {
    // What the enclave has got is let go, and the answer counts until the caller has taken it.
    request_.Clear();
    intake().Answering(*this, response_bytes);
    stream_.WriteAndFinish(response_, {}, grpc::Status::OK, &finished_event_);
  } else {
    const milliseconds retry_after = RetryAfter(status);
    if (retry_after.count() > 0) {
      context_.AddTrailingMetadata(kPushback, std::to_string(retry_after.count()));
    }
    stream_.Finish(rpc::ToGrpcStatus(retry_after.count() > 0 ? rpc::WithRetryAfter(status, retry_after) : status),
                   &finished_event_);
  }
  // The answer is on its way: counting and logging delay nobody.
  const std::chrono::nanoseconds took = environment_.clock.SteadyNow() - started_;
  environment_.metrics.Ended(method_, status.code(), took);
  if (IsLogged()) {
    Log(status, took);
  }
}

void Call::OnFinished(bool /*ok*/) { Release(); }

void Call::Log(const absl::Status& status, std::chrono::nanoseconds took) const {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const std::string key = HexEncode(AsBytes(key_id_).first(std::min(key_id_.size(), kLoggedKeyBytes)));
  const Reason reason = ReasonOf(status);
  environment_.logger.Info(
      "request", {{"method", method_->name},
                  {"token", account_ == nullptr ? std::string_view() : std::string_view(account_->name())},
                  {"model", std::string_view(model_).substr(0, kMaxLoggedModel)},
                  {"key", key},
                  {"enclave", connection_ != nullptr ? std::string_view(connection_->name) : ""},
                  {"status", absl::StatusCodeToString(status.code())},
                  {"reason", reason == Reason::kUnspecified ? "" : NameOf(reason)},
                  {"refused", refusal_.has_value() ? NameOf(*refusal_) : ""},
                  {"ms", Milliseconds(took).count()},
                  {"queue_ms", Milliseconds(waited_).count()},
                  {"request_bytes", request_bytes_},
                  {"response_bytes", response_.Length()},
                  {"trace", trace_parent_.empty() ? std::string_view() : telemetry::TraceIdOf(trace_parent_)}});
}

}  // namespace shoji::server
