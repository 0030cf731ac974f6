// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/grpc_transport.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <thread>
#include <utility>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>

#include "client/connection_mistake.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/coalescing.h"
#include "lib/rpc/deadline.h"
#include "lib/rpc/status.h"
#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"

namespace shoji::client {
namespace {

absl::Status Malformed(const std::string& what) {
  return absl::DataLossError("the server's answer is malformed: " + what);
}

template <size_t N>
absl::StatusOr<std::array<uint8_t, N>> Fixed(const std::string& bytes, const char* field) {
  if (bytes.size() != N) {
    return Malformed(std::string(field) + " has " + std::to_string(bytes.size()) + " bytes instead of " +
                     std::to_string(N));
  }
  std::array<uint8_t, N> out = {};
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

absl::StatusOr<attest::EvidenceKind> KindOf(v1::EvidenceKind kind) {
  switch (kind) {
    case v1::SIMULATED:
      return attest::EvidenceKind::kSimulated;
    case v1::SGX:
      return attest::EvidenceKind::kSgx;
    case v1::TDX:
      return attest::EvidenceKind::kTdx;
    case v1::SEV_SNP:
      return attest::EvidenceKind::kSevSnp;
    default:
      return Malformed("evidence of a kind that this client does not know");
  }
}

// InferRequest and ReleaseKeyRequest have the same fields, and so have their answers.
template <typename Message>
Message ToMessage(const channel::SealedRequest& sealed) {
  Message request;
  request.set_key_id(ToString(sealed.key_id));
  request.set_session_id(ToString(sealed.session_id));
  request.set_sequence(sealed.sequence);
  request.set_model(sealed.model);
  request.set_ciphertext(sealed.ciphertext.data(), sealed.ciphertext.size());
  return request;
}

template <typename Message>
absl::StatusOr<channel::SealedAnswer> AnswerFrom(const Message& response) {
  channel::SealedAnswer out;
  ASSIGN_OR_RETURN(out.salt, Fixed<32>(response.salt(), "salt"));
  out.ciphertext = ToBytes(response.ciphertext());
  return out;
}

// A call whose answer is awaited by the loop.
struct PendingInfer {
  grpc::ClientContext context;
  v1::InferRequest request;
  v1::InferResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::InferResponse>> reader;
  std::function<void(const grpc::Status&, const v1::InferResponse&)> done;
};

// Where answers keep a tenth of a processor busy, a few thousand a second, one may wait so long until it is taken.
constexpr rpc::Coalescing kAnswers = {.wait = std::chrono::microseconds(100), .from_busy = 0.1, .until_busy = 0.04};

// One thread that takes the answers of every transport. Not gRPC's callbacks: after a second without an answer, theirs
// look for one every 100 ms only, and whoever measures would measure that. Thread-safe.
class AnswerLoop {
 public:
  AnswerLoop() : thread_([this] { Run(); }) {}
  AnswerLoop(const AnswerLoop&) = delete;
  AnswerLoop& operator=(const AnswerLoop&) = delete;
  // Every call must have ended.
  ~AnswerLoop() {
    queue_.Shutdown();
    thread_.join();
  }
  static std::shared_ptr<AnswerLoop> Shared() {
    static std::mutex mu;
    static std::weak_ptr<AnswerLoop> shared;
    const std::scoped_lock lock(mu);
    std::shared_ptr<AnswerLoop> loop = shared.lock();
    if (loop == nullptr) {
      loop = std::make_shared<AnswerLoop>();
      shared = loop;
    }
    return loop;
  }
  grpc::CompletionQueue& queue() { return queue_; }

 private:
  void Run() {
    rpc::CoalescingTaker taker(queue_, kAnswers);
    void* tag = nullptr;
    for (bool ok = false; taker.Next(tag, ok);) {
      const std::unique_ptr<PendingInfer> pending(static_cast<PendingInfer*>(tag));
      pending->done(pending->status, pending->response);
    }
  }

  grpc::CompletionQueue queue_;
  std::thread thread_;  // last: it uses the queue
};

// Thread-safe.
class GrpcTransport final : public Transport {
 public:
  GrpcTransport(const std::shared_ptr<grpc::Channel>& channel, rpc::Endpoint server, std::string token,
                const Clock& clock)
      : channel_(channel),
        explainer_(std::move(server), clock),
        token_(std::move(token)),
        clock_(clock),
        attestation_(v1::AttestationService::NewStub(channel)),
        inference_(v1::InferenceService::NewStub(channel)) {}

  absl::Status AwaitConnection(SteadyTime deadline) override {
    const auto until = rpc::ToGrpcDeadline(deadline, clock_);
    for (auto state = channel_->GetState(true); state != GRPC_CHANNEL_READY; state = channel_->GetState(true)) {
      if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) {
        return WhyNotConnected(deadline);
      }
      if (!channel_->WaitForStateChange(state, until)) {
        return explainer_.NoConnectionYet();
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<EvidenceReply> GetEvidence(const attest::Nonce& nonce, const std::string& model,
                                            SteadyTime deadline) override {
    v1::GetEvidenceRequest request;
    request.set_nonce(ToString(nonce));
    request.set_model(model);
    return GetEvidence(request, deadline);
  }

  absl::StatusOr<EvidenceReply> GetSealedModelEvidence(const attest::Nonce& nonce,
                                                       const digest::Sha256Digest& sealed_digest,
                                                       SteadyTime deadline) override {
    v1::GetEvidenceRequest request;
    request.set_nonce(ToString(nonce));
    request.set_sealed_digest(ToString(sealed_digest));
    return GetEvidence(request, deadline);
  }

  absl::StatusOr<EvidenceReply> GetEvidence(const v1::GetEvidenceRequest& request, SteadyTime deadline) {
    v1::GetEvidenceResponse response;
    RETURN_IF_ERROR(Call(*attestation_, &v1::AttestationService::Stub::GetEvidence, request, response, deadline));
    EvidenceReply out;
    out.manifest = ToBytes(response.manifest());
    ASSIGN_OR_RETURN(out.evidence.kind, KindOf(response.evidence().kind()));
    out.evidence.data = ToBytes(response.evidence().data());
    if (response.has_nonce_path()) {
      const v1::NoncePath& path = response.nonce_path();
      std::vector<ByteSpan> siblings;
      for (const std::string& sibling : path.siblings()) {
        siblings.push_back(AsBytes(sibling));
      }
      ASSIGN_OR_RETURN(out.nonce_path, attest::MakeNoncePath(path.index(), siblings));
    }
    return out;
  }

  absl::StatusOr<std::vector<ModelDescription>> ListModels(SteadyTime deadline) override {
    v1::ListModelsResponse response;
    RETURN_IF_ERROR(
        Call(*inference_, &v1::InferenceService::Stub::ListModels, v1::ListModelsRequest(), response, deadline));
    std::vector<ModelDescription> out;
    for (const v1::ModelDescription& model : response.models()) {
      out.push_back({model.name(), ToBytes(model.preprocessing()), ToBytes(model.labels())});
    }
    return out;
  }

  absl::StatusOr<SessionReply> OpenSession(const SessionOffer& offer, SteadyTime deadline) override {
    v1::OpenSessionRequest request;
    request.set_key_id(ToString(offer.key_id));
    request.set_manifest_digest(ToString(offer.manifest_digest));
    request.set_enc(ToString(offer.enc));
    request.set_sealed_hello(ToString(offer.sealed_hello));
    v1::OpenSessionResponse response;
    RETURN_IF_ERROR(Call(*inference_, &v1::InferenceService::Stub::OpenSession, request, response, deadline));
    SessionReply out;
    ASSIGN_OR_RETURN(out.session_id, Fixed<16>(response.session_id(), "session_id"));
    ASSIGN_OR_RETURN(out.hello.salt, Fixed<32>(response.salt(), "salt"));
    out.hello.ciphertext = ToBytes(response.sealed_hello());
    return out;
  }

  absl::StatusOr<channel::SealedAnswer> Infer(const channel::SealedRequest& sealed, SteadyTime deadline) override {
    const auto request = ToMessage<v1::InferRequest>(sealed);
    v1::InferResponse response;
    RETURN_IF_ERROR(Call(*inference_, &v1::InferenceService::Stub::Infer, request, response, deadline));
    return AnswerFrom(response);
  }

  void StartInfer(const channel::SealedRequest& sealed, SteadyTime deadline, OnAnswer done) override {
    std::call_once(loop_made_, [this] { loop_ = AnswerLoop::Shared(); });
    auto* const pending = new PendingInfer;  // the loop deletes it
    pending->request = ToMessage<v1::InferRequest>(sealed);
    pending->done = [this, done = std::move(done)](const grpc::Status& status, const v1::InferResponse& response) {
      const absl::Status said = explainer_.Explain(rpc::FromGrpcStatus(status));
      done(said.ok() ? AnswerFrom(response) : said);
    };
    Prepare(pending->context, deadline);
    pending->reader = inference_->AsyncInfer(&pending->context, pending->request, &loop_->queue());
    pending->reader->Finish(&pending->response, &pending->status, pending);
  }

  absl::StatusOr<channel::SealedAnswer> ReleaseKey(const channel::SealedRequest& sealed, SteadyTime deadline) override {
    const auto request = ToMessage<v1::ReleaseKeyRequest>(sealed);
    v1::ReleaseKeyResponse response;
    RETURN_IF_ERROR(Call(*inference_, &v1::InferenceService::Stub::ReleaseKey, request, response, deadline));
    return AnswerFrom(response);
  }

  std::chrono::milliseconds RetryAfter(const absl::Status& status) const override { return rpc::RetryAfterOf(status); }

 private:
  void Prepare(grpc::ClientContext& context, SteadyTime deadline) const {
    context.set_deadline(rpc::ToGrpcDeadline(deadline, clock_));
    if (!token_.empty()) {
      context.AddMetadata("authorization", "Bearer " + token_);
    }
  }
  template <typename Stub, typename Request, typename Response>
  absl::Status Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response, SteadyTime deadline) {
    grpc::ClientContext context;
    Prepare(context, deadline);
    return explainer_.ExplainAskingTheServer(rpc::FromGrpcStatus((stub.*method)(&context, request, &response)));
  }
  // Only the status of a call says it.
  absl::Status WhyNotConnected(SteadyTime deadline) {
    const absl::Status status = ListModels(deadline).status();
    if (status.code() == absl::StatusCode::kDeadlineExceeded) {
      return explainer_.NoConnectionYet();
    }
    const bool is_of_connection =
        ReasonOf(status) == Reason::kUnspecified &&
        (status.code() == absl::StatusCode::kUnavailable || status.code() == absl::StatusCode::kFailedPrecondition);
    return is_of_connection ? status : absl::OkStatus();  // there is one by now
  }

  const std::shared_ptr<grpc::Channel> channel_;
  ConnectionExplainer explainer_;
  const std::string token_;
  const Clock& clock_;
  const std::unique_ptr<v1::AttestationService::Stub> attestation_;
  const std::unique_ptr<v1::InferenceService::Stub> inference_;
  std::once_flag loop_made_;
  std::shared_ptr<AnswerLoop> loop_;  // shared by all transports
};

}  // namespace

absl::StatusOr<std::unique_ptr<Transport>> CreateGrpcTransport(const GrpcTransportOptions& options,
                                                               const Clock& clock) {
  const bool printable =
      std::all_of(options.token.begin(), options.token.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable) {
    return absl::InvalidArgumentError("the bearer token must be one word of printable ASCII");
  }
  ASSIGN_OR_RETURN(const auto channel,
                   rpc::CreateChannel(options.server, {.max_message_bytes = options.max_message_bytes}));
  return std::make_unique<GrpcTransport>(channel, options.server, options.token, clock);
}

absl::StatusOr<rpc::Endpoint> PublicEndpoint(const std::string& address, const ServerSecurity& security) {
  rpc::Endpoint endpoint;
  ASSIGN_OR_RETURN(endpoint.address, rpc::ParseAddress(address));
  const bool plain = security.plaintext == Plaintext::kAllow || endpoint.address.kind == rpc::Address::Kind::kUnix;
  if (plain && !security.ca_file.empty()) {
    return absl::InvalidArgumentError("a CA file makes no sense on a connection without TLS");
  }
  using Kind = rpc::TransportSecurity::Kind;
  if (plain) {
    endpoint.security.kind = endpoint.address.IsLocal() ? Kind::kLocalPlaintext : Kind::kInsecurePlaintext;
  } else {
    endpoint.security.kind = Kind::kTls;
    endpoint.security.ca_file = security.ca_file;
    endpoint.security.server_name = security.server_name;
  }
  RETURN_IF_ERROR(rpc::CheckEndpoint(endpoint, rpc::Role::kConnect, rpc::Exposure::kPublic));
  return endpoint;
}

}  // namespace shoji::client
