// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/raw_client.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "lib/base/status_macros.h"
#include "lib/crypto/random.h"
#include "lib/rpc/status.h"
#include "tests/support/process.h"

namespace shoji::testing {
namespace {

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // Each client has a connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

template <size_t N>
absl::StatusOr<std::array<uint8_t, N>> Fixed(const std::string& bytes) {
  std::array<uint8_t, N> out = {};
  if (bytes.size() != N) {
    return absl::InternalError("a field of " + std::to_string(bytes.size()) + " bytes");
  }
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

template <typename Request, typename Response, typename Method>
absl::StatusOr<channel::SealedAnswer> SendAs(const channel::SealedRequest& request, Method method) {
  Request message;
  message.set_key_id(ToString(request.key_id));
  message.set_session_id(ToString(request.session_id));
  message.set_sequence(request.sequence);
  message.set_model(request.model);
  message.set_ciphertext(ToString(request.ciphertext));
  Response response;
  RETURN_IF_ERROR(rpc::FromGrpcStatus(method(message, response)));
  channel::SealedAnswer answer;
  ASSIGN_OR_RETURN(answer.salt, Fixed<32>(response.salt()));
  answer.ciphertext = ToBytes(response.ciphertext());
  return answer;
}

}  // namespace

RawClient::RawClient(const std::string& address)
    : attestation_(v1::AttestationService::NewStub(Connect(address))),
      inference_(v1::InferenceService::NewStub(Connect(address))) {}

void RawClient::Prepare(grpc::ClientContext& context) const {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  if (!token_.empty()) {
    context.AddMetadata("authorization", "Bearer " + token_);
  }
}

absl::StatusOr<v1::GetEvidenceResponse> RawClient::GetEvidence(ByteSpan nonce, const std::string& model) {
  grpc::ClientContext context;
  Prepare(context);
  v1::GetEvidenceRequest request;
  request.set_nonce(ToString(nonce));
  request.set_model(model);
  v1::GetEvidenceResponse response;
  RETURN_IF_ERROR(rpc::FromGrpcStatus(attestation_->GetEvidence(&context, request, &response)));
  return response;
}

absl::Status RawClient::Attest(const std::string& model) {
  attest::Nonce nonce = {};
  crypto::FillRandom(nonce);
  ASSIGN_OR_RETURN(const v1::GetEvidenceResponse evidence, GetEvidence(nonce, model));
  ASSIGN_OR_RETURN(manifest_, attest::DecodeManifest(AsBytes(evidence.manifest())));
  manifest_digest_ = digest::Sha256(AsBytes(evidence.manifest()));
  return OpenAnother();
}

absl::Status RawClient::OpenAnother() {
  ASSIGN_OR_RETURN(const v1::OpenSessionRequest hello, MakeHello());
  ASSIGN_OR_RETURN(const v1::OpenSessionResponse ack, SendHello(hello));
  channel::SealedAnswer sealed;
  ASSIGN_OR_RETURN(sealed.salt, Fixed<32>(ack.salt()));
  sealed.ciphertext = ToBytes(ack.sealed_hello());
  ASSIGN_OR_RETURN(const channel::SessionId session_id, Fixed<16>(ack.session_id()));
  return initiator_->VerifyHello(session_id, sealed);
}

absl::StatusOr<v1::OpenSessionRequest> RawClient::MakeHello() {
  ASSIGN_OR_RETURN(initiator_, channel::Initiator::Create(manifest_.hpke_public_key, manifest_digest_));
  v1::OpenSessionRequest hello;
  hello.set_key_id(ToString(initiator_->key_id()));
  hello.set_manifest_digest(ToString(manifest_digest_));
  hello.set_enc(ToString(initiator_->enc()));
  hello.set_sealed_hello(ToString(initiator_->sealed_hello()));
  return hello;
}

absl::StatusOr<v1::OpenSessionResponse> RawClient::SendHello(const v1::OpenSessionRequest& hello) {
  grpc::ClientContext context;
  Prepare(context);
  v1::OpenSessionResponse response;
  RETURN_IF_ERROR(rpc::FromGrpcStatus(inference_->OpenSession(&context, hello, &response)));
  return response;
}

absl::StatusOr<channel::SealedRequest> RawClient::Seal(channel::RequestKind kind, ByteSpan body,
                                                       const std::string& model) {
  return initiator_->Seal(model, channel::BuildRequest(kind, body).Expose());
}

absl::StatusOr<channel::SealedAnswer> RawClient::Send(const channel::SealedRequest& request) {
  grpc::ClientContext context;
  Prepare(context);
  return Send(context, request);
}

absl::StatusOr<channel::SealedAnswer> RawClient::SendUntil(const channel::SealedRequest& request,
                                                           const std::function<bool()>& give_up) {
  grpc::ClientContext context;
  Prepare(context);
  std::future<absl::StatusOr<channel::SealedAnswer>> answer =
      std::async(std::launch::async, [&] { return Send(context, request); });
  WaitFor([&] { return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready || give_up(); });
  context.TryCancel();
  return answer.get();
}

absl::StatusOr<channel::SealedAnswer> RawClient::Send(grpc::ClientContext& context,
                                                      const channel::SealedRequest& request) {
  if (!traceparent_.empty()) {
    context.AddMetadata("traceparent", traceparent_);
  }
  if (request.purpose == channel::Purpose::kRelease) {
    return SendAs<v1::ReleaseKeyRequest, v1::ReleaseKeyResponse>(request, [&](const auto& message, auto& response) {
      return inference_->ReleaseKey(&context, message, &response);
    });
  }
  return SendAs<v1::InferRequest, v1::InferResponse>(
      request, [&](const auto& message, auto& response) { return inference_->Infer(&context, message, &response); });
}

absl::StatusOr<crypto::PlaintextBytes> RawClient::Open(const channel::SealedRequest& request,
                                                       const channel::SealedAnswer& answer) const {
  return initiator_->OpenResponse(request.sequence, request.model, answer);
}

absl::Status RawClient::Roundtrip(channel::RequestKind kind, ByteSpan body, const std::string& model) {
  ASSIGN_OR_RETURN(const channel::SealedRequest request, Seal(kind, body, model));
  ASSIGN_OR_RETURN(const channel::SealedAnswer answer, Send(request));
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes plaintext, Open(request, answer));
  ASSIGN_OR_RETURN(const channel::AnswerView view,
                   channel::ParseAnswer(plaintext.Expose(), plaintext.size() - channel::kAnswerHeaderSize));
  return view.status;
}

}  // namespace shoji::testing
