// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/in_process_accelerator.h"

#include <utility>

#include "gpu_worker/cpu/cpu_backend.h"
#include "gpu_worker/ring_layer.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"

namespace shoji::testing {

InProcessAccelerator::InProcessAccelerator(std::string name)
    : name_(std::move(name)), backend_(accelerator::CreateCpuBackend({.isa = kernels::ring::BestIsa()})) {}

bool InProcessAccelerator::ready() const {
  const absl::MutexLock lock(&mu_);
  return serving_;
}

bool InProcessAccelerator::Serves(const digest::Sha256Digest& digest) const {
  const absl::MutexLock lock(&mu_);
  return serving_ && (linear_.contains(digest) || open_.contains(digest));
}

void InProcessAccelerator::Register(const digest::Sha256Digest& digest, std::shared_ptr<const Bytes> bytes,
                                    enclave::SubModelFormat format) {
  if (format == enclave::SubModelFormat::kOnnx) {
    absl::StatusOr<std::unique_ptr<accelerator::Model>> model = backend_->Load(*bytes);
    SHOJI_CHECK(model.ok());
    const absl::MutexLock lock(&mu_);
    open_[digest] = *std::move(model);
    return;
  }
  const absl::StatusOr<accelerator::RingLayer> layer = accelerator::ParseRingLayer(*bytes);
  SHOJI_CHECK(layer.ok());
  absl::StatusOr<std::unique_ptr<accelerator::LinearModel>> model = backend_->LoadLinear(*layer);
  SHOJI_CHECK(model.ok());
  const absl::MutexLock lock(&mu_);
  linear_[digest] = *std::move(model);
}

void InProcessAccelerator::Unregister(const digest::Sha256Digest& digest) {
  const absl::MutexLock lock(&mu_);
  linear_.erase(digest);
  open_.erase(digest);
}

absl::StatusOr<std::vector<Tensor>> InProcessAccelerator::RunLinear(accelerator::LinearModel& model,
                                                                    const Tensor& input, const Tamper& tamper) {
  if (!(input.shape() == model.input_shape())) {
    return absl::InvalidArgumentError("the input is " + input.shape().ToString());
  }
  std::vector<Tensor> outputs;
  outputs.emplace_back(DataType::kUint8, model.output_shape());
  RETURN_IF_ERROR(model.Run(input.bytes(), outputs[0].mutable_bytes(), {}));
  if (tamper) {
    RETURN_IF_ERROR(tamper(input, outputs[0]));
  }
  return outputs;
}

absl::StatusOr<std::vector<Tensor>> InProcessAccelerator::Execute(const digest::Sha256Digest& digest,
                                                                  std::span<const Tensor* const> inputs,
                                                                  const enclave::Execution& execution) {
  std::shared_ptr<accelerator::LinearModel> linear;
  std::shared_ptr<accelerator::Model> open;
  Tamper tamper;
  {
    const absl::MutexLock lock(&mu_);
    ++num_executions_;
    tamper = tamper_;
    if (!serving_) {
      return absl::UnavailableError("not serving");
    }
    if (const auto it = linear_.find(digest); it != linear_.end()) {
      linear = it->second;
    } else if (const auto other = open_.find(digest); other != open_.end()) {
      open = other->second;
    }
  }
  if (linear != nullptr) {
    std::vector<Tensor> outputs;
    for (const Tensor* input : inputs) {
      ASSIGN_OR_RETURN(std::vector<Tensor> made, RunLinear(*linear, *input, tamper));
      outputs.push_back(std::move(made[0]));
    }
    return outputs;
  }
  if (open == nullptr) {
    return absl::InternalError("not registered");
  }
  std::vector<Tensor> copies;
  for (const Tensor* input : inputs) {
    copies.push_back(input->Clone());
  }
  return open->RunBatch(std::move(copies), execution.batch, {});
}

}  // namespace shoji::testing
