// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/lying_front_end.h"

#include <utility>

#include <grpcpp/grpcpp.h>

#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"

namespace shoji::testing {
namespace {

template <typename Stub, typename Request, typename Response>
grpc::Status Forward(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const grpc::ServerContext& server, const Request& request, Response& response) {
  grpc::ClientContext context;
  context.set_deadline(server.deadline());
  return (stub.*method)(&context, request, &response);
}

class Attestation final : public v1::AttestationService::Service {
 public:
  explicit Attestation(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::AttestationService::NewStub(channel)) {}

  grpc::Status GetEvidence(grpc::ServerContext* context, const v1::GetEvidenceRequest* request,
                           v1::GetEvidenceResponse* response) override {
    ++num_evidence;
    grpc::Status status = Forward(*stub_, &v1::AttestationService::Stub::GetEvidence, *context, *request, *response);
    if (status.ok() && lie) {
      lie(*request, *response);
    }
    return status;
  }

  std::atomic<int> num_evidence = 0;
  LyingFrontEnd::Lie lie;

 private:
  const std::unique_ptr<v1::AttestationService::Stub> stub_;
};

class Inference final : public v1::InferenceService::Service {
 public:
  using Stub = v1::InferenceService::Stub;
  explicit Inference(const std::shared_ptr<grpc::Channel>& channel) : stub_(v1::InferenceService::NewStub(channel)) {}

  grpc::Status ListModels(grpc::ServerContext* context, const v1::ListModelsRequest* request,
                          v1::ListModelsResponse* response) override {
    return Forward(*stub_, &Stub::ListModels, *context, *request, *response);
  }
  grpc::Status OpenSession(grpc::ServerContext* context, const v1::OpenSessionRequest* request,
                           v1::OpenSessionResponse* response) override {
    ++num_sent;
    return Forward(*stub_, &Stub::OpenSession, *context, *request, *response);
  }
  grpc::Status Infer(grpc::ServerContext* context, const v1::InferRequest* request,
                     v1::InferResponse* response) override {
    ++num_sent;
    return Forward(*stub_, &Stub::Infer, *context, *request, *response);
  }
  grpc::Status ReleaseKey(grpc::ServerContext* context, const v1::ReleaseKeyRequest* request,
                          v1::ReleaseKeyResponse* response) override {
    ++num_sent;
    return Forward(*stub_, &Stub::ReleaseKey, *context, *request, *response);
  }

  std::atomic<int> num_sent = 0;

 private:
  const std::unique_ptr<Stub> stub_;
};

}  // namespace

struct LyingFrontEnd::Impl {
  std::unique_ptr<Attestation> attestation;
  std::unique_ptr<Inference> inference;
  std::unique_ptr<grpc::Server> server;  // last: stops before the services go
};

LyingFrontEnd::LyingFrontEnd() : impl_(std::make_unique<Impl>()) {}

LyingFrontEnd::~LyingFrontEnd() {
  if (impl_->server != nullptr) {
    impl_->server->Shutdown();
  }
}

absl::StatusOr<std::unique_ptr<LyingFrontEnd>> LyingFrontEnd::Start(const std::string& listen,
                                                                    const std::string& forward) {
  const std::shared_ptr<grpc::Channel> channel = grpc::CreateChannel(forward, grpc::InsecureChannelCredentials());
  std::unique_ptr<LyingFrontEnd> out(new LyingFrontEnd());
  out->impl_->attestation = std::make_unique<Attestation>(channel);
  out->impl_->inference = std::make_unique<Inference>(channel);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials());
  builder.RegisterService(out->impl_->attestation.get());
  builder.RegisterService(out->impl_->inference.get());
  out->impl_->server = builder.BuildAndStart();
  if (out->impl_->server == nullptr) {
    return absl::UnavailableError("cannot listen on " + listen);
  }
  return out;
}

void LyingFrontEnd::Tell(Lie lie) { impl_->attestation->lie = std::move(lie); }
int LyingFrontEnd::num_evidence() const { return impl_->attestation->num_evidence; }
int LyingFrontEnd::num_sent() const { return impl_->inference->num_sent; }

}  // namespace shoji::testing
