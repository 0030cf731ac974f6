// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/enclave_service.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/deadline.h"
#include "lib/rpc/status.h"
#include "lib/rpc/trace.h"
#include "lib/telemetry/trace_context.h"
#include "shoji/internal/v1/enclave.grpc.pb.h"

namespace shoji::enclave {
namespace {

constexpr std::chrono::seconds kSignOfLife(2);
constexpr std::chrono::seconds kEvidenceLog(10);  // the shortest time between two lines about evidence

template <size_t N>
std::optional<std::array<uint8_t, N>> Fixed(const std::string& bytes) {
  if (bytes.size() != N) {
    return std::nullopt;
  }
  std::array<uint8_t, N> out = {};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

// Of an InferRequest or a ReleaseKeyRequest, which have the same fields.
template <typename Request>
absl::StatusOr<channel::SealedRequest> SealedFrom(const Request& request, channel::Purpose purpose) {
  const auto key_id = Fixed<16>(request.key_id());
  const auto session_id = Fixed<16>(request.session_id());
  if (!key_id.has_value() || !session_id.has_value()) {
    return absl::InvalidArgumentError("key_id and session_id have 16 bytes each");
  }
  channel::SealedRequest sealed;
  sealed.key_id = *key_id;
  sealed.session_id = *session_id;
  sealed.sequence = request.sequence();
  sealed.model = request.model();
  sealed.ciphertext = ToBytes(request.ciphertext());
  sealed.purpose = purpose;
  return sealed;
}

void AddSealed(const std::string& name, const digest::Sha256Digest& sealed_digest, bool awaits_key,
               internal::v1::EnclaveState& state) {
  internal::v1::SealedModelState& model = *state.add_sealed_models();
  model.set_name(name);
  model.set_sealed_digest(ToString(sealed_digest));
  model.set_awaits_key(awaits_key);
}

// Answers a unary call.
grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(rpc::ToGrpcStatus(status));
  return reactor;
}

// One caller of GetEvidence, from when it is queued to its answer. Deletes itself when the call is done.
class EvidenceCall final : public grpc::ServerUnaryReactor, public EvidenceQueue::Waiter {
 public:
  // Both outlive it.
  EvidenceCall(EvidenceQueue& queue, v1::GetEvidenceResponse& response) : queue_(queue), response_(response) {}

  void Queue(const attest::Nonce& nonce, SteadyTime deadline) {
    if (const absl::Status queued = queue_.Add(nonce, deadline, *this); !queued.ok()) {
      Finish(rpc::ToGrpcStatus(queued));
    }
  }
  void Done(const absl::StatusOr<EvidenceQueue::Issued>& issued) override {
    if (issued.ok()) {
      response_.set_manifest(ToString(issued->quote->manifest));
      response_.mutable_evidence()->set_kind(static_cast<v1::EvidenceKind>(issued->quote->evidence.kind));
      response_.mutable_evidence()->set_data(ToString(issued->quote->evidence.data));
    }
    if (issued.ok() && issued->path.has_value()) {
      v1::NoncePath& path = *response_.mutable_nonce_path();
      path.set_index(issued->path->index);
      for (const attest::Nonce& sibling : issued->path->siblings) {
        path.add_siblings(ToString(sibling));
      }
    }
    Finish(rpc::ToGrpcStatus(issued.status()));
  }
  // Also when the deadline has passed. No reaction runs after OnDone, so `this` is in the queue or was, and no other
  // call can have its address.
  void OnCancel() override {
    if (queue_.Leave(*this)) {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

 private:
  EvidenceQueue& queue_;
  v1::GetEvidenceResponse& response_;
};

// One watcher: holds the newest state that it has not written yet, older ones are skipped. Deletes itself when the call
// is done.
class Watcher final : public grpc::ServerWriteReactor<internal::v1::EnclaveState> {
 public:
  using OnGone = std::function<void(Watcher*)>;
  Watcher(internal::v1::EnclaveState state, OnGone on_gone) : on_gone_(std::move(on_gone)) { Push(std::move(state)); }

  void Push(internal::v1::EnclaveState state) {
    const absl::MutexLock lock(&mu_);
    if (finished_) {
      return;
    }
    if (writing_.has_value()) {
      next_ = std::move(state);
      return;
    }
    writing_ = std::move(state);
    StartWrite(&*writing_);
  }
  void End(const grpc::Status& status) {
    {
      const absl::MutexLock lock(&mu_);
      if (std::exchange(finished_, true)) {
        return;
      }
    }
    Finish(status);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) {
      End(grpc::Status::CANCELLED);
      return;
    }
    const absl::MutexLock lock(&mu_);
    writing_ = std::exchange(next_, std::nullopt);
    if (writing_.has_value() && !finished_) {
      StartWrite(&*writing_);
    }
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    on_gone_(this);
    delete this;
  }

 private:
  const OnGone on_gone_;
  absl::Mutex mu_;
  std::optional<internal::v1::EnclaveState> writing_ ABSL_GUARDED_BY(mu_);
  std::optional<internal::v1::EnclaveState> next_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

class EnclaveService::Impl final : public internal::v1::EnclaveService::CallbackService {
 public:
  explicit Impl(const Options& options);

  grpc::ServerUnaryReactor* GetEvidence(grpc::CallbackServerContext* context, const v1::GetEvidenceRequest* request,
                                        v1::GetEvidenceResponse* response) override;
  grpc::ServerUnaryReactor* OpenSession(grpc::CallbackServerContext* context, const v1::OpenSessionRequest* request,
                                        v1::OpenSessionResponse* response) override;
  grpc::ServerUnaryReactor* Infer(grpc::CallbackServerContext* context, const v1::InferRequest* request,
                                  v1::InferResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseKey(grpc::CallbackServerContext* context, const v1::ReleaseKeyRequest* request,
                                       v1::ReleaseKeyResponse* response) override;
  grpc::ServerWriteReactor<internal::v1::EnclaveState>* Watch(grpc::CallbackServerContext* context,
                                                              const internal::v1::WatchRequest* request) override;

  void Publish();
  void Drain() {
    draining_ = true;
    Publish();
  }
  void EndWatches();
  void LogEvidence();
  EvidenceQueue::Counts evidence_counts() { return evidence_.counts(); }

 private:
  SteadyTime DeadlineOf(const grpc::CallbackServerContext& context) const {
    const SteadyTime latest = options_.clock.SteadyNow() + options_.max_deadline;
    return std::min(rpc::FromGrpcDeadline(context.deadline(), options_.clock).value_or(latest), latest);
  }
  void AfterQuote(const absl::Status& made);
  internal::v1::EnclaveState CurrentState();
  absl::Status RunInfer(const v1::InferRequest& request, RunContext& run, v1::InferResponse& response);
  void LogRequest(std::string_view session, uint64_t sequence, const absl::Status& status, const RunContext& run);
  absl::Status RunRelease(const v1::ReleaseKeyRequest& request, v1::ReleaseKeyResponse& response);
  void Forget(Watcher* watcher) {
    const absl::MutexLock lock(&mu_);
    watchers_.erase(watcher);
  }

  const Options options_;
  std::atomic<bool> draining_ = false;
  absl::Mutex mu_;
  internal::v1::EnclaveState published_ ABSL_GUARDED_BY(mu_);
  SteadyTime published_at_ ABSL_GUARDED_BY(mu_);
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mu_);
  bool watches_ended_ ABSL_GUARDED_BY(mu_) = false;
  telemetry::RateLimit failures_;
  telemetry::RateLimit evidence_lines_;
  uint64_t num_logged_ = 0;  // of the main loop
  EvidenceQueue evidence_;   // last: its thread uses all of the above
};

EnclaveService::Impl::Impl(const Options& options)
    : options_(options),
      published_(CurrentState()),
      failures_(options.clock, kEvidenceLog),
      evidence_lines_(options.clock, kEvidenceLog),
      evidence_({.limits = options.evidence_limits,
                 .claim = [&enclave = options.enclave](const attest::Nonce& nonce) { return enclave.ClaimFor(nonce); },
                 .after_quote = [this](const absl::Status& made) { AfterQuote(made); }},
                options.evidence, options.clock) {
  evidence_.Start();
}

grpc::ServerUnaryReactor* EnclaveService::Impl::GetEvidence(grpc::CallbackServerContext* context,
                                                            const v1::GetEvidenceRequest* request,
                                                            v1::GetEvidenceResponse* response) {
  const auto nonce = Fixed<sizeof(attest::Nonce)>(request->nonce());
  if (!nonce.has_value()) {
    return Finish(context, ErrorOf(Reason::kBadNonce));
  }
  auto* call = new EvidenceCall(evidence_, *response);
  call->Queue(*nonce, DeadlineOf(*context));
  return call;
}

void EnclaveService::Impl::AfterQuote(const absl::Status& made) {
  if (!made.ok()) {
    options_.logger.Warning(failures_, "evidence_failed", {{"error", std::string(made.message())}});
  }
  // The key may be new since the last sign of life: let the front end hear of it before the clients do.
  Publish();
}

void EnclaveService::Impl::LogEvidence() {
  const EvidenceQueue::Counts counts = evidence_.counts();
  const uint64_t sum = counts.quotes + counts.failed + counts.refused;
  if (sum == num_logged_ || !evidence_lines_.Admit().has_value()) {
    return;
  }
  num_logged_ = sum;
  options_.logger.Info(
      "evidence",
      {{"quotes", counts.quotes}, {"answers", counts.answers}, {"failed", counts.failed}, {"refused", counts.refused}});
}

grpc::ServerUnaryReactor* EnclaveService::Impl::OpenSession(grpc::CallbackServerContext* context,
                                                            const v1::OpenSessionRequest* request,
                                                            v1::OpenSessionResponse* response) {
  const auto key_id = Fixed<16>(request->key_id());
  const auto manifest_digest = Fixed<32>(request->manifest_digest());
  const auto enc = Fixed<32>(request->enc());
  if (!key_id.has_value() || !manifest_digest.has_value() || !enc.has_value()) {
    return Finish(context, absl::InvalidArgumentError("key_id, manifest_digest and enc have 16, 32 and 32 bytes"));
  }
  if (draining_) {
    return Finish(context, ErrorOf(Reason::kDraining));
  }
  const absl::StatusOr<channel::HelloAck> ack =
      options_.enclave.OpenSession(*key_id, *manifest_digest, *enc, AsBytes(request->sealed_hello()));
  if (!ack.ok()) {
    return Finish(context, ack.status());
  }
  response->set_session_id(ToString(ack->session_id));
  response->set_salt(ToString(ack->sealed_hello.salt));
  response->set_sealed_hello(ToString(ack->sealed_hello.ciphertext));
  return Finish(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* EnclaveService::Impl::Infer(grpc::CallbackServerContext* context,
                                                      const v1::InferRequest* request, v1::InferResponse* response) {
  if (draining_) {
    return Finish(context, ErrorOf(Reason::kDraining));
  }
  const SteadyTime deadline = DeadlineOf(*context);
  const SteadyTime received = options_.clock.SteadyNow();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status queued = options_.workers.Add([this, context, request, response, deadline, received, reactor] {
    // A caller that is gone needs no answer: what is not started is not started.
    if (context->IsCancelled()) {
      reactor->Finish(rpc::ToGrpcStatus(absl::CancelledError("cancelled")));
      return;
    }
    const std::string session = HexEncode(AsBytes(request->session_id().substr(0, 4)));
    const uint64_t sequence = request->sequence();
    RunContext run(deadline);
    run.traceparent = rpc::TraceParentOf(*context);
    run.is_cancelled = [context] { return context->IsCancelled(); };
    run.phases[channel::Phase::kQueue] = options_.clock.SteadyNow() - received;
    const absl::Status status = RunInfer(*request, run, *response);
    // The request is gone with this; what is logged after it delays nobody.
    reactor->Finish(rpc::ToGrpcStatus(status));
    if (absl::IsCancelled(status)) {
      return;
    }
    if (options_.metrics != nullptr) {
      options_.metrics->Answered(status, run, options_.clock.SteadyNow() - received);
    }
    LogRequest(session, sequence, status, run);
  });
  if (!queued.ok()) {
    reactor->Finish(rpc::ToGrpcStatus(queued));
    if (options_.metrics != nullptr) {
      options_.metrics->Refused(queued);
    }
  }
  return reactor;
}

// Whether a sealed answer holds a result or an error is not for the log.
void EnclaveService::Impl::LogRequest(std::string_view session, uint64_t sequence, const absl::Status& status,
                                      const RunContext& run) {
  const std::string_view said = status.ok() ? "ANSWERED" : NameOf(ReasonOf(status));
  if (run.traceparent.empty()) {
    options_.logger.Info("request", {{"session", session}, {"sequence", sequence}, {"status", said}});
  } else {
    options_.logger.Info("request", {{"session", session},
                                     {"sequence", sequence},
                                     {"status", said},
                                     {"trace", telemetry::TraceIdOf(run.traceparent)}});
  }
}

absl::Status EnclaveService::Impl::RunInfer(const v1::InferRequest& request, RunContext& run,
                                            v1::InferResponse& response) {
  ASSIGN_OR_RETURN(const channel::SealedRequest sealed, SealedFrom(request, channel::Purpose::kInference));
  ASSIGN_OR_RETURN(const channel::SealedAnswer answer, options_.enclave.Infer(sealed, run));
  response.set_salt(ToString(answer.salt));
  response.set_ciphertext(ToString(answer.ciphertext));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* EnclaveService::Impl::ReleaseKey(grpc::CallbackServerContext* context,
                                                           const v1::ReleaseKeyRequest* request,
                                                           v1::ReleaseKeyResponse* response) {
  if (draining_) {
    return Finish(context, ErrorOf(Reason::kDraining));
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  // By a worker, because a model may have to be loaded.
  const absl::Status queued = options_.workers.Add([this, context, request, response, reactor] {
    if (context->IsCancelled()) {
      reactor->Finish(rpc::ToGrpcStatus(absl::CancelledError("cancelled")));
      return;
    }
    const std::string session = HexEncode(AsBytes(request->session_id().substr(0, 4)));
    const absl::Status status = RunRelease(*request, *response);
    // The manifest and the key may be new: let the front end hear of it before the owner and the clients do.
    Publish();
    reactor->Finish(rpc::ToGrpcStatus(status));
    options_.logger.Info("release",
                         {{"session", session}, {"status", status.ok() ? "ANSWERED" : NameOf(ReasonOf(status))}});
  });
  if (!queued.ok()) {
    reactor->Finish(rpc::ToGrpcStatus(queued));
  }
  return reactor;
}

absl::Status EnclaveService::Impl::RunRelease(const v1::ReleaseKeyRequest& request, v1::ReleaseKeyResponse& response) {
  ASSIGN_OR_RETURN(const channel::SealedRequest sealed, SealedFrom(request, channel::Purpose::kRelease));
  ASSIGN_OR_RETURN(const channel::SealedAnswer answer, options_.enclave.Release(sealed));
  response.set_salt(ToString(answer.salt));
  response.set_ciphertext(ToString(answer.ciphertext));
  return absl::OkStatus();
}

grpc::ServerWriteReactor<internal::v1::EnclaveState>* EnclaveService::Impl::Watch(
    grpc::CallbackServerContext* /*context*/, const internal::v1::WatchRequest* /*request*/) {
  const absl::MutexLock lock(&mu_);
  auto* watcher = new Watcher(CurrentState(), [this](Watcher* gone) { Forget(gone); });
  if (watches_ended_) {
    watcher->End(rpc::ToGrpcStatus(ErrorOf(Reason::kDraining)));
  } else {
    watchers_.insert(watcher);
  }
  return watcher;
}

void EnclaveService::Impl::Publish() {
  // The state is taken under the lock, so that an older one never overtakes a newer one.
  const absl::MutexLock lock(&mu_);
  internal::v1::EnclaveState state = CurrentState();
  const SteadyTime now = options_.clock.SteadyNow();
  if (now - published_at_ < kSignOfLife && state.SerializeAsString() == published_.SerializeAsString()) {
    return;
  }
  for (Watcher* watcher : watchers_) {
    watcher->Push(state);
  }
  published_ = std::move(state);
  published_at_ = now;
}

void EnclaveService::Impl::EndWatches() {
  const absl::MutexLock lock(&mu_);
  watches_ended_ = true;
  for (Watcher* watcher : watchers_) {
    watcher->End(rpc::ToGrpcStatus(ErrorOf(Reason::kDraining)));
  }
}

internal::v1::EnclaveState EnclaveService::Impl::CurrentState() {
  const PublicState state = options_.enclave.public_state();
  internal::v1::EnclaveState out;
  out.set_ready(state.ready && !draining_);
  out.set_not_ready_because(draining_ ? "draining" : state.not_ready_because);
  out.set_software_version(options_.software_version);
  for (const channel::KeyId& key_id : state.key_ids) {
    out.add_key_ids(ToString(key_id));
  }
  for (const channel::KeyId& key_id : state.stale_key_ids) {
    out.add_stale_key_ids(ToString(key_id));
  }
  for (const std::shared_ptr<const Model>& model : state.served->models) {
    if (model->manifest().sealed.has_value()) {
      AddSealed(model->name(), model->manifest().model_digest, false, out);
    }
    v1::ModelDescription& description = *out.add_models();
    description.set_name(model->name());
    description.set_preprocessing(ToString(model->preprocessing_bytes()));
    description.set_labels(ToString(model->labels()));
  }
  for (const AwaitedModel& model : state.served->awaited) {
    AddSealed(model.manifest.name, model.manifest.sealed_digest, true, out);
  }
  return out;
}

EnclaveService::EnclaveService(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
EnclaveService::~EnclaveService() = default;
grpc::Service* EnclaveService::service() { return impl_.get(); }
void EnclaveService::Publish() {
  impl_->Publish();
  impl_->LogEvidence();
}
EvidenceQueue::Counts EnclaveService::evidence_counts() { return impl_->evidence_counts(); }
void EnclaveService::Drain() { impl_->Drain(); }
void EnclaveService::EndWatches() { impl_->EndWatches(); }

}  // namespace shoji::enclave
