// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/stage.h"

#include <utility>

#include "lib/base/reason.h"

namespace shoji::enclave {

absl::StatusOr<std::vector<const Tensor*>> FindInputs(const std::vector<partition::CrossingTensor>& wanted,
                                                      const SecretTensors& live) {
  std::vector<const Tensor*> out;
  for (const partition::CrossingTensor& input : wanted) {
    const Tensor* tensor = live.Find(input.name);
    if (tensor == nullptr || tensor->shape() != input.shape || tensor->type() != input.type) {
      return ErrorOf(Reason::kInternal);
    }
    out.push_back(tensor);
  }
  return out;
}

absl::Status PutOutputs(const std::vector<partition::CrossingTensor>& expected, std::vector<Tensor> outputs,
                        SecretTensors& live) {
  bool matches = outputs.size() == expected.size();
  for (size_t i = 0; matches && i < outputs.size(); ++i) {
    matches = outputs[i].type() == expected[i].type && outputs[i].shape() == expected[i].shape;
  }
  if (!matches) {
    for (Tensor& output : outputs) {
      output.Wipe();
    }
    return ErrorOf(Reason::kInternal);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    live.Put(expected[i].name, std::move(outputs[i]));
  }
  return absl::OkStatus();
}

}  // namespace shoji::enclave
