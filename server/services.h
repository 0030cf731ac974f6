// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The public services: thin adapters from gRPC to ProxyCall and Router.
#pragma once

#include "server/proxy_call.h"
#include "shoji/v1/attestation.grpc.pb.h"
#include "shoji/v1/inference.grpc.pb.h"

namespace shoji::server {

// Thread-safe.
class InferenceService final : public v1::InferenceService::CallbackService {
 public:
  explicit InferenceService(CallEnvironment& environment) : environment_(environment) {}

  grpc::ServerUnaryReactor* GetVersion(grpc::CallbackServerContext* context, const v1::GetVersionRequest* request,
                                       v1::GetVersionResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context, const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* OpenSession(grpc::CallbackServerContext* context, const v1::OpenSessionRequest* request,
                                        v1::OpenSessionResponse* response) override;
  grpc::ServerUnaryReactor* Infer(grpc::CallbackServerContext* context, const v1::InferRequest* request,
                                  v1::InferResponse* response) override;

 private:
  CallEnvironment& environment_;
};

// Thread-safe.
class AttestationService final : public v1::AttestationService::CallbackService {
 public:
  explicit AttestationService(CallEnvironment& environment) : environment_(environment) {}

  grpc::ServerUnaryReactor* GetEvidence(grpc::CallbackServerContext* context, const v1::GetEvidenceRequest* request,
                                        v1::GetEvidenceResponse* response) override;

 private:
  CallEnvironment& environment_;
};

}  // namespace shoji::server
