// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/method.h"

#include <algorithm>
#include <array>

namespace shoji::server {

namespace {

const std::array<Method, 8>& Methods() {
  static const std::array<Method, 8> kMethods = {{
      {"/shoji.v1.InferenceService/Infer", "Infer", Handling::kForwardByKey, "/shoji.internal.v1.EnclaveService/Infer"},
      {"/shoji.v1.InferenceService/OpenSession", "OpenSession", Handling::kForwardByKey,
       "/shoji.internal.v1.EnclaveService/OpenSession"},
      {"/shoji.v1.InferenceService/ReleaseKey", "ReleaseKey", Handling::kForwardByKey,
       "/shoji.internal.v1.EnclaveService/ReleaseKey"},
      {"/shoji.v1.AttestationService/GetEvidence", "GetEvidence", Handling::kForwardByModel,
       "/shoji.internal.v1.EnclaveService/GetEvidence"},
      {"/shoji.v1.InferenceService/GetVersion", "GetVersion", Handling::kVersion},
      {"/shoji.v1.InferenceService/ListModels", "ListModels", Handling::kModels},
      {"/grpc.health.v1.Health/Check", "Check", Handling::kHealthCheck},
      {"/grpc.health.v1.Health/Watch", "Watch", Handling::kHealthWatch},
  }};
  return kMethods;
}

}  // namespace

const Method* FindMethod(std::string_view path) {
  const auto* found =
      std::find_if(Methods().begin(), Methods().end(), [path](const Method& method) { return method.path == path; });
  return found == Methods().end() ? nullptr : found;
}

std::vector<std::string_view> MethodNames() {
  std::vector<std::string_view> out;
  for (const Method& method : Methods()) {
    out.push_back(method.name);
  }
  return out;
}

}  // namespace shoji::server
