// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/accelerator/attach_answer.h"

#include <utility>

#include "lib/rpc/tensor_proto.h"

namespace shoji::enclave {
namespace {

namespace pb = internal::v1;

Answer DecodeOutputs(const pb::ExecuteReply& reply, const AnswerLimits& limits) {
  if (static_cast<size_t>(reply.outputs_size()) > limits.max_outputs) {
    return absl::InvalidArgumentError("the accelerator's answer has too many outputs");
  }
  uint64_t bytes = 0;  // cannot overflow: the sum is at most the size of a message in memory
  for (const pb::Tensor& tensor : reply.outputs()) {
    bytes += tensor.data().size();
  }
  if (bytes > limits.max_bytes) {
    return absl::InvalidArgumentError("the accelerator's answer is too large");
  }
  Outputs outputs;
  outputs.reserve(static_cast<size_t>(reply.outputs_size()));
  for (const pb::Tensor& tensor : reply.outputs()) {
    absl::StatusOr<Tensor> output = rpc::ParseTensor(tensor, limits.max_bytes);
    if (!output.ok()) {
      return absl::InvalidArgumentError("the accelerator's answer holds a malformed tensor");
    }
    outputs.push_back(*std::move(output));
  }
  return outputs;
}

absl::Status DecodeFailure(const pb::Failure& failure) {
  constexpr uint32_t kMaxCode = 16;  // UNAUTHENTICATED, the last of gRPC's
  if (failure.code() == 0 || failure.code() > kMaxCode) {
    return absl::InvalidArgumentError("the accelerator's answer is a failure of no known code");
  }
  switch (static_cast<absl::StatusCode>(failure.code())) {
    case absl::StatusCode::kUnavailable:
      return absl::UnavailableError("the accelerator is shutting down");
    case absl::StatusCode::kDeadlineExceeded:
      return absl::DeadlineExceededError("the accelerator did not start in time");
    case absl::StatusCode::kResourceExhausted:
      return absl::ResourceExhaustedError("the accelerator is over a quota");
    default:
      return absl::InternalError("the accelerator failed");
  }
}

}  // namespace

Answer DecodeAnswer(const pb::AttachResponse& response, const AnswerLimits& limits) {
  switch (response.message_case()) {
    case pb::AttachResponse::kUploadReply:
      return UploadDone{};
    case pb::AttachResponse::kUnloadReply:
      return UnloadDone{};
    case pb::AttachResponse::kExecuteReply:
      return DecodeOutputs(response.execute_reply(), limits);
    case pb::AttachResponse::kFailure:
      return DecodeFailure(response.failure());
    case pb::AttachResponse::MESSAGE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("the accelerator's answer is of no known kind");
}

}  // namespace shoji::enclave
