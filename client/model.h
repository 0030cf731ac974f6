// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a client knows about a model once its description agrees with the attested manifest.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/transport.h"
#include "lib/attest/manifest.h"
#include "lib/image/preprocessing.h"

namespace shoji::client {

struct Model {
  attest::ModelManifest manifest;
  std::optional<image::Preprocessing> preprocessing;  // without one, the model takes tensors only
  std::vector<std::string> labels;                    // empty: none; otherwise one an output value

  // Of the bodies of a tensor request and of an answer: float32 values of all inputs, of all outputs.
  size_t input_bytes = 0;
  size_t output_bytes = 0;
};

// Whether the accelerator may see the answer.
enum class OpenedResult : uint8_t { kRefuse, kAllow };

// What a caller insists on, besides genuine evidence.
struct Expectations {
  OpenedResult opened_result = OpenedResult::kRefuse;
  std::optional<digest::Sha256Digest> model_digest;  // of the ONNX file; unset: any
  std::optional<digest::Sha256Digest> plan_digest;   // of the resolved plan; unset: any
};

// Evidence of an enclave that serves `model` (empty: any). UNKNOWN_MODEL names the model, and those of near names.
absl::StatusOr<EvidenceReply> FetchEvidence(Transport& transport, const attest::Nonce& nonce, const std::string& model,
                                            SteadyTime deadline);

// The model named `name`; NOT_FOUND (UNKNOWN_MODEL) suggests near names, or says that it awaits its key.
absl::StatusOr<const attest::ModelManifest*> FindModel(const attest::Manifest& manifest, const std::string& name);

// Checks the server's description against the attested digests and parses it. FAILED_PRECONDITION when it is another
// one than the enclave loaded; INVALID_ARGUMENT when the enclave loaded something that makes no sense, UNIMPLEMENTED
// for inputs or outputs that are not float32.
absl::StatusOr<Model> CheckDescription(const attest::ModelManifest& manifest, const ModelDescription& description);

// A refusal (IsRefusal) that says what is not as `expectations` want it.
absl::Status CheckExpectations(const attest::ModelManifest& model, const Expectations& expectations);

// What the policy of `model` lets accelerators see, and whose, in one line; "" when it opens nothing.
std::string WhatIsShown(const attest::ModelManifest& model);

// A refusal when `now` shows anything to an accelerator that `first`, which the caller accepted, did not: another
// segment, another tensor, another operator, or the result. Less is fine.
absl::Status CheckOpensNoMore(const attest::ModelManifest& first, const attest::ModelManifest& now);

}  // namespace shoji::client
