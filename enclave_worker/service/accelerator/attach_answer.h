// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an accelerator answers, made safe to use. The accelerator is hostile: nothing of its message goes on except
// tensors of consistent form and a status code out of a short list; its words do not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "lib/tensor/tensor.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::enclave {

struct AnswerLimits {
  size_t max_outputs = 256;
  uint64_t max_bytes = uint64_t{64} << 20;  // of all outputs together
};

struct UploadDone {};
struct UnloadDone {};
using Outputs = std::vector<Tensor>;
// A status is never OK: UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED or INTERNAL as the accelerator claims, or
// INVALID_ARGUMENT for an answer that is malformed.
using Answer = std::variant<UploadDone, UnloadDone, Outputs, absl::Status>;

// Never fails: a malformed answer becomes INVALID_ARGUMENT. `response.id()` is for the caller to judge. Pure.
Answer DecodeAnswer(const internal::v1::AttachResponse& response, const AnswerLimits& limits);

}  // namespace shoji::enclave
