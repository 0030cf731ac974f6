// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/declassify.h"

#include "lib/base/reason.h"

namespace shoji::enclave {

absl::StatusOr<std::vector<const Tensor*>> OpenSegmentInputs(const partition::Segment& segment,
                                                             const SecretTensors& live) {
  if (segment.place != partition::Placement::kOpen || segment.confidential) {
    return ErrorOf(Reason::kInternal);
  }
  std::vector<const Tensor*> out;
  for (const partition::CrossingTensor& input : segment.inputs) {
    const Tensor* tensor = live.Find(input.name);
    if (tensor == nullptr || tensor->shape() != input.shape || tensor->type() != input.type) {
      return ErrorOf(Reason::kInternal);
    }
    out.push_back(tensor);
  }
  return out;
}

}  // namespace shoji::enclave
