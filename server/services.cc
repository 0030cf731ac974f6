// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/services.h"

#include <utility>

#include "lib/rpc/status.h"
#include "server/version.h"

namespace shoji::server {
namespace {

using EnclaveStub = internal::v1::EnclaveService::Stub;

class OpenSessionCall final : public ProxyCall {
 public:
  OpenSessionCall(CallEnvironment& environment, grpc::CallbackServerContext& context,
                  const v1::OpenSessionRequest& request, v1::OpenSessionResponse& response)
      : ProxyCall(environment, context, "OpenSession"), request_(request), response_(response) {}

 private:
  absl::StatusOr<size_t> Route() override { return router().ByKey(request_.key_id()); }
  void Send(EnclaveStub& stub, grpc::ClientContext& context, std::function<void(grpc::Status)> done) override {
    stub.async()->OpenSession(&context, &request_, &response_, std::move(done));
  }
  void Describe(CallRecord& record) const override {
    record.key_id = request_.key_id();
    record.request_bytes = request_.ByteSizeLong();
    record.response_bytes = response_.ByteSizeLong();
  }

  const v1::OpenSessionRequest& request_;
  v1::OpenSessionResponse& response_;
};

class InferCall final : public ProxyCall {
 public:
  InferCall(CallEnvironment& environment, grpc::CallbackServerContext& context, const v1::InferRequest& request,
            v1::InferResponse& response)
      : ProxyCall(environment, context, "Infer"), request_(request), response_(response) {}

 private:
  absl::StatusOr<size_t> Route() override { return router().ByKey(request_.key_id()); }
  void Send(EnclaveStub& stub, grpc::ClientContext& context, std::function<void(grpc::Status)> done) override {
    stub.async()->Infer(&context, &request_, &response_, std::move(done));
  }
  void Describe(CallRecord& record) const override {
    record.model = request_.model();
    record.key_id = request_.key_id();
    record.request_bytes = request_.ByteSizeLong();
    record.response_bytes = response_.ByteSizeLong();
  }

  const v1::InferRequest& request_;
  v1::InferResponse& response_;
};

class GetEvidenceCall final : public ProxyCall {
 public:
  GetEvidenceCall(CallEnvironment& environment, grpc::CallbackServerContext& context,
                  const v1::GetEvidenceRequest& request, v1::GetEvidenceResponse& response)
      : ProxyCall(environment, context, "GetEvidence"), request_(request), response_(response) {}

 private:
  absl::StatusOr<size_t> Route() override { return router().ByModel(request_.model()); }
  void Send(EnclaveStub& stub, grpc::ClientContext& context, std::function<void(grpc::Status)> done) override {
    stub.async()->GetEvidence(&context, &request_, &response_, std::move(done));
  }
  void Describe(CallRecord& record) const override {
    record.model = request_.model();
    record.request_bytes = request_.ByteSizeLong();
    record.response_bytes = response_.ByteSizeLong();
  }

  const v1::GetEvidenceRequest& request_;
  v1::GetEvidenceResponse& response_;
};

template <typename Call, typename Request, typename Response>
grpc::ServerUnaryReactor* StartCall(CallEnvironment& environment, grpc::CallbackServerContext* context,
                                    const Request* request, Response* response) {
  auto* call = new Call(environment, *context, *request, *response);
  call->Start();
  return call;
}

// For what the front end answers itself.
template <typename Response, typename Fill>
grpc::ServerUnaryReactor* Answer(CallEnvironment& environment, grpc::CallbackServerContext* context,
                                 std::string_view method, Response* response, Fill fill) {
  CallRecord record{.method = method, .started = environment.clock.SteadyNow()};
  const absl::Status status = environment.authenticator.Check(*context);
  if (status.ok()) {
    fill(*response);
    record.response_bytes = response->ByteSizeLong();
  }
  LogCall(environment, record, status);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(rpc::ToGrpcStatus(status));
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* InferenceService::GetVersion(grpc::CallbackServerContext* context,
                                                       const v1::GetVersionRequest* /*request*/,
                                                       v1::GetVersionResponse* response) {
  return Answer(environment_, context, "GetVersion", response, [](v1::GetVersionResponse& out) {
    out.set_protocol_version(kProtocolVersion);
    out.set_software_version(kSoftwareVersion);
  });
}

grpc::ServerUnaryReactor* InferenceService::ListModels(grpc::CallbackServerContext* context,
                                                       const v1::ListModelsRequest* /*request*/,
                                                       v1::ListModelsResponse* response) {
  return Answer(environment_, context, "ListModels", response,
                [this](v1::ListModelsResponse& out) { out = environment_.router.Models(); });
}

grpc::ServerUnaryReactor* InferenceService::OpenSession(grpc::CallbackServerContext* context,
                                                        const v1::OpenSessionRequest* request,
                                                        v1::OpenSessionResponse* response) {
  return StartCall<OpenSessionCall>(environment_, context, request, response);
}

grpc::ServerUnaryReactor* InferenceService::Infer(grpc::CallbackServerContext* context, const v1::InferRequest* request,
                                                  v1::InferResponse* response) {
  return StartCall<InferCall>(environment_, context, request, response);
}

grpc::ServerUnaryReactor* AttestationService::GetEvidence(grpc::CallbackServerContext* context,
                                                          const v1::GetEvidenceRequest* request,
                                                          v1::GetEvidenceResponse* response) {
  return StartCall<GetEvidenceCall>(environment_, context, request, response);
}

}  // namespace shoji::server
