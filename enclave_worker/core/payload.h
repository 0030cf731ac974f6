// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Between a decrypted request and the tensors of its model, and back.
#pragma once

#include "absl/status/statusor.h"
#include "enclave_worker/core/model.h"
#include "enclave_worker/core/secret_tensors.h"
#include "lib/base/bytes.h"
#include "lib/channel/payload.h"
#include "lib/crypto/plaintext_bytes.h"

namespace shoji::enclave {

// The fixed lengths of a request for `model`.
channel::RequestBodySizes RequestSizesOf(const Model& model);

// The model's inputs from an opened request: a picture is normalized as the model's preprocessing says, tensors are
// taken as they are. BAD_INPUT: malformed, a length that does not fit its kind, or a value that is not finite.
absl::StatusOr<SecretTensors> InputsOf(const Model& model, ByteSpan plaintext);

// The model's outputs, concatenated, as they stand in an answer, in the form in which its results may leave. All of
// them must be in `live`.
absl::StatusOr<crypto::PlaintextBytes> OutputsOf(const Model& model, const SecretTensors& live);

}  // namespace shoji::enclave
