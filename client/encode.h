// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The plaintext of a request, as docs/protocol.md section 5 lays it out.
#pragma once

#include <span>

#include "absl/status/statusor.h"
#include "client/model.h"
#include "lib/channel/payload.h"
#include "lib/crypto/plaintext_bytes.h"
#include "lib/image/image.h"
#include "lib/tensor/tensor.h"

namespace shoji::client {

// Scaled and cropped as the model's preprocessing says. FAILED_PRECONDITION when it has none.
absl::StatusOr<crypto::PlaintextBytes> EncodePicture(const image::Image& picture, const Model& model,
                                                     channel::Trailer trailer = channel::Trailer::kNone);
// Every input of the model in order, float32, of the manifest's shapes; INVALID_ARGUMENT otherwise.
absl::StatusOr<crypto::PlaintextBytes> EncodeTensors(std::span<const Tensor> inputs, const Model& model,
                                                     channel::Trailer trailer = channel::Trailer::kNone);

}  // namespace shoji::client
