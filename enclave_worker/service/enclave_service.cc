// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/enclave_service.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "enclave_worker/service/watch_call.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/deadline.h"
#include "lib/rpc/status.h"
#include "lib/rpc/trace.h"
#include "lib/rpc/unary_call.h"
#include "lib/telemetry/trace_context.h"
#include "shoji/internal/v1/enclave.grpc.pb.h"

namespace shoji::enclave {
namespace {

constexpr std::chrono::seconds kSignOfLife(2);
// Calls of a method that a loop has asked gRPC for ahead of their coming.
constexpr int kAcceptedAhead = 8;
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

using EvidenceCall = rpc::UnaryCall<v1::GetEvidenceRequest, v1::GetEvidenceResponse>;
using SessionCall = rpc::UnaryCall<v1::OpenSessionRequest, v1::OpenSessionResponse>;
using InferCall = rpc::UnaryCall<v1::InferRequest, v1::InferResponse>;
using ReleaseCall = rpc::UnaryCall<v1::ReleaseKeyRequest, v1::ReleaseKeyResponse>;

void Fill(const EvidenceQueue::Issued& issued, v1::GetEvidenceResponse& response) {
  response.set_manifest(ToString(issued.quote->manifest));
  response.mutable_evidence()->set_kind(static_cast<v1::EvidenceKind>(issued.quote->evidence.kind));
  response.mutable_evidence()->set_data(ToString(issued.quote->evidence.data));
  if (issued.path.has_value()) {
    v1::NoncePath& path = *response.mutable_nonce_path();
    path.set_index(issued.path->index);
    for (const attest::Nonce& sibling : issued.path->siblings) {
      path.add_siblings(ToString(sibling));
    }
  }
}

// One caller of GetEvidence in the queue.
class EvidenceWaiter final : public EvidenceQueue::Waiter {
 public:
  explicit EvidenceWaiter(EvidenceCall& call) : call_(call) {}

  void Done(const absl::StatusOr<EvidenceQueue::Issued>& issued) override {
    if (issued.ok()) {
      Fill(*issued, call_.response());
    }
    call_.Finish(issued.status());
  }

 private:
  EvidenceCall& call_;
};

}  // namespace

class EnclaveService::Impl {
 public:
  explicit Impl(const Options& options);

  grpc::Service* service() { return &service_; }
  void Serve(const std::vector<std::unique_ptr<rpc::EventLoop>>& loops);
  void Publish();
  void Drain() {
    draining_ = true;
    Publish();
  }
  void EndWatches();
  void LogEvidence();
  EvidenceQueue::Counts evidence_counts() { return evidence_.counts(); }

 private:
  // What one loop serves.
  struct Methods {
    EvidenceCall::Method get_evidence;
    SessionCall::Method open_session;
    InferCall::Method infer;
    ReleaseCall::Method release_key;
    WatchCall::Method watch;
  };

  void GetEvidence(EvidenceCall& call);
  void OpenSession(SessionCall& call);
  void Infer(InferCall& call);
  void ReleaseKey(ReleaseCall& call);
  void Watch(WatchCall& call);

  SteadyTime DeadlineOf(const grpc::ServerContext& context) const {
    const SteadyTime latest = options_.clock.SteadyNow() + options_.max_deadline;
    return std::min(rpc::FromGrpcDeadline(context.deadline(), options_.clock).value_or(latest), latest);
  }
  void AfterQuote(const absl::Status& made);
  internal::v1::EnclaveState CurrentState();
  enum class Length : uint8_t { kShort, kMayBeLong };
  // Hands work to the workers.
  absl::Status AddWork(Length length, const std::function<void()>& work, std::function<bool()> is_gone);
  // By a worker, or the loop.
  void Work(InferCall& call, SteadyTime deadline, SteadyTime received);
  absl::Status RunInfer(const v1::InferRequest& request, RunContext& run, v1::InferResponse& response);
  void LogRequest(std::string_view session, uint64_t sequence, const absl::Status& status, const RunContext& run);
  absl::Status RunRelease(const v1::ReleaseKeyRequest& request, v1::ReleaseKeyResponse& response);

  const Options options_;
  internal::v1::EnclaveService::AsyncService service_;
  std::vector<std::unique_ptr<const Methods>> methods_;  // one a loop
  std::atomic<bool> draining_ = false;
  std::atomic<int> num_long_ = 0;  // of what the workers have: may be long
  absl::Mutex mu_;
  internal::v1::EnclaveState published_ ABSL_GUARDED_BY(mu_);
  SteadyTime published_at_ ABSL_GUARDED_BY(mu_);
  std::set<WatchCall*> watchers_ ABSL_GUARDED_BY(mu_);
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

void EnclaveService::Impl::Serve(const std::vector<std::unique_ptr<rpc::EventLoop>>& loops) {
  using Service = internal::v1::EnclaveService::AsyncService;
  // The generated functions that ask for a method's next call, which take the queue twice.
  const auto ask = [this](auto request_call) {
    return [this, request_call](auto* context, auto* request, auto* responder, auto* queue, void* tag) {
      (service_.*request_call)(context, request, responder, queue, queue, tag);
    };
  };
  for (const std::unique_ptr<rpc::EventLoop>& loop : loops) {
    methods_.push_back(std::make_unique<const Methods>(Methods{
        .get_evidence = {ask(&Service::RequestGetEvidence), [this](EvidenceCall& call) { GetEvidence(call); }, *loop},
        .open_session = {ask(&Service::RequestOpenSession), [this](SessionCall& call) { OpenSession(call); }, *loop},
        .infer = {ask(&Service::RequestInfer), [this](InferCall& call) { Infer(call); }, *loop},
        .release_key = {ask(&Service::RequestReleaseKey), [this](ReleaseCall& call) { ReleaseKey(call); }, *loop},
        .watch = {service_, [this](WatchCall& call) { Watch(call); },
                  [this](WatchCall& call) {
                    const absl::MutexLock lock(&mu_);
                    watchers_.erase(&call);
                  },
                  *loop}}));
    const Methods& methods = *methods_.back();
    for (int i = 0; i < kAcceptedAhead; ++i) {
      EvidenceCall::Accept(methods.get_evidence);
      SessionCall::Accept(methods.open_session);
      InferCall::Accept(methods.infer);
    }
    ReleaseCall::Accept(methods.release_key);
    WatchCall::Accept(methods.watch);
  }
}

void EnclaveService::Impl::GetEvidence(EvidenceCall& call) {
  const auto nonce = Fixed<sizeof(attest::Nonce)>(call.request().nonce());
  if (!nonce.has_value()) {
    call.Finish(ErrorOf(Reason::kBadNonce));
    return;
  }
  // Kept by the call, so that no other waiter has its address when the caller leaves.
  const auto waiter = std::make_shared<EvidenceWaiter>(call);
  call.OnCancelled([this, waiter, &call] {
    if (evidence_.Leave(*waiter)) {
      call.Finish(absl::CancelledError("cancelled"));
    }
  });
  if (const absl::Status queued = evidence_.Add(*nonce, DeadlineOf(call.context()), *waiter); !queued.ok()) {
    call.Finish(queued);
  }
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

// On the loop: it takes less than handing it over would gain.
void EnclaveService::Impl::OpenSession(SessionCall& call) {
  const v1::OpenSessionRequest& request = call.request();
  const auto key_id = Fixed<16>(request.key_id());
  const auto manifest_digest = Fixed<32>(request.manifest_digest());
  const auto enc = Fixed<32>(request.enc());
  if (!key_id.has_value() || !manifest_digest.has_value() || !enc.has_value()) {
    call.Finish(absl::InvalidArgumentError("key_id, manifest_digest and enc have 16, 32 and 32 bytes"));
    return;
  }
  if (draining_) {
    call.Finish(ErrorOf(Reason::kDraining));
    return;
  }
  const absl::StatusOr<channel::HelloAck> ack =
      options_.enclave.OpenSession(*key_id, *manifest_digest, *enc, AsBytes(request.sealed_hello()));
  if (ack.ok()) {
    v1::OpenSessionResponse& response = call.response();
    response.set_session_id(ToString(ack->session_id));
    response.set_salt(ToString(ack->sealed_hello.salt));
    response.set_sealed_hello(ToString(ack->sealed_hello.ciphertext));
  }
  call.Finish(ack.status());
}

void EnclaveService::Impl::Infer(InferCall& call) {
  if (draining_) {
    call.Finish(ErrorOf(Reason::kDraining));
    return;
  }
  const SteadyTime deadline = DeadlineOf(call.context());
  const SteadyTime received = options_.clock.SteadyNow();
  const bool is_short = options_.enclave.IsShort(call.request().model(), call.request().ciphertext().size());
  if (is_short && num_long_ == 0) {
    // On the loop: it takes less than handing it over would gain. Not beside work that may be long, and may have what
    // this would wait for. Short work that a worker has is no reason to give it more, or workers that fall behind would
    // get all that comes meanwhile, and never catch up.
    Work(call, deadline, received);
    return;
  }
  const absl::Status queued = AddWork(
      is_short ? Length::kShort : Length::kMayBeLong,
      [this, &call, deadline, received] { Work(call, deadline, received); }, [&call] { return call.is_cancelled(); });
  if (!queued.ok()) {
    call.Finish(queued);
    if (options_.metrics != nullptr) {
      options_.metrics->Refused(queued);
    }
  }
}

absl::Status EnclaveService::Impl::AddWork(Length length, const std::function<void()>& work,
                                           std::function<bool()> is_gone) {
  const int num_long = length == Length::kMayBeLong ? 1 : 0;
  num_long_ += num_long;
  absl::Status queued = options_.workers.Add(
      [this, num_long, work] {
        work();
        num_long_ -= num_long;
      },
      std::move(is_gone));
  if (!queued.ok()) {
    num_long_ -= num_long;
  }
  return queued;
}

void EnclaveService::Impl::Work(InferCall& call, SteadyTime deadline, SteadyTime received) {
  // A caller that is gone needs no answer: what is not started is not started.
  if (call.is_cancelled()) {
    call.Finish(absl::CancelledError("cancelled"));
    return;
  }
  const std::string session = HexEncode(AsBytes(call.request().session_id().substr(0, 4)));
  const uint64_t sequence = call.request().sequence();
  RunContext run(deadline);
  run.traceparent = rpc::TraceParentOf(call.context());
  run.is_cancelled = [&call] { return call.is_cancelled(); };
  run.phases[channel::Phase::kQueue] = options_.clock.SteadyNow() - received;
  const absl::Status status = RunInfer(call.request(), run, call.response());
  // The call is gone with this; what is logged after it delays nobody.
  call.Finish(status);
  if (absl::IsCancelled(status)) {
    return;
  }
  if (options_.metrics != nullptr) {
    options_.metrics->Answered(status, run, options_.clock.SteadyNow() - received);
  }
  LogRequest(session, sequence, status, run);
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

void EnclaveService::Impl::ReleaseKey(ReleaseCall& call) {
  if (draining_) {
    call.Finish(ErrorOf(Reason::kDraining));
    return;
  }
  // By a worker, because a model may have to be loaded.
  const absl::Status queued = AddWork(
      Length::kMayBeLong,
      [this, &call] {
        if (call.is_cancelled()) {
          call.Finish(absl::CancelledError("cancelled"));
          return;
        }
        const std::string session = HexEncode(AsBytes(call.request().session_id().substr(0, 4)));
        const absl::Status status = RunRelease(call.request(), call.response());
        // The manifest and the key may be new: let the front end hear of it before the owner and the clients do.
        Publish();
        call.Finish(status);
        options_.logger.Info("release",
                             {{"session", session}, {"status", status.ok() ? "ANSWERED" : NameOf(ReasonOf(status))}});
      },
      [&call] { return call.is_cancelled(); });
  if (!queued.ok()) {
    call.Finish(queued);
  }
}

absl::Status EnclaveService::Impl::RunRelease(const v1::ReleaseKeyRequest& request, v1::ReleaseKeyResponse& response) {
  ASSIGN_OR_RETURN(const channel::SealedRequest sealed, SealedFrom(request, channel::Purpose::kRelease));
  ASSIGN_OR_RETURN(const channel::SealedAnswer answer, options_.enclave.Release(sealed));
  response.set_salt(ToString(answer.salt));
  response.set_ciphertext(ToString(answer.ciphertext));
  return absl::OkStatus();
}

void EnclaveService::Impl::Watch(WatchCall& call) {
  const absl::MutexLock lock(&mu_);
  call.Push(CurrentState());
  if (watches_ended_) {
    call.End(ErrorOf(Reason::kDraining));
  } else {
    watchers_.insert(&call);
  }
}

void EnclaveService::Impl::Publish() {
  // The state is taken under the lock, so that an older one never overtakes a newer one.
  const absl::MutexLock lock(&mu_);
  internal::v1::EnclaveState state = CurrentState();
  const SteadyTime now = options_.clock.SteadyNow();
  if (now - published_at_ < kSignOfLife && state.SerializeAsString() == published_.SerializeAsString()) {
    return;
  }
  for (WatchCall* watcher : watchers_) {
    watcher->Push(state);
  }
  published_ = std::move(state);
  published_at_ = now;
}

void EnclaveService::Impl::EndWatches() {
  const absl::MutexLock lock(&mu_);
  watches_ended_ = true;
  for (WatchCall* watcher : watchers_) {
    watcher->End(ErrorOf(Reason::kDraining));
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
grpc::Service* EnclaveService::service() { return impl_->service(); }
void EnclaveService::Serve(const std::vector<std::unique_ptr<rpc::EventLoop>>& loops) { impl_->Serve(loops); }
void EnclaveService::Publish() {
  impl_->Publish();
  impl_->LogEvidence();
}
EvidenceQueue::Counts EnclaveService::evidence_counts() { return impl_->evidence_counts(); }
void EnclaveService::Drain() { impl_->Drain(); }
void EnclaveService::EndWatches() { impl_->EndWatches(); }

}  // namespace shoji::enclave
