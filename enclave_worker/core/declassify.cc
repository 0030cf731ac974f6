// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/declassify.h"

#include <utility>

#include "enclave_worker/core/stage.h"
#include "lib/base/reason.h"

namespace shoji::enclave {

// The one door to what an OutgoingLayer holds.
class OutgoingLayerAccess {
 public:
  static Tensor Take(OutgoingLayer& message) { return std::move(message.message_); }
};

absl::StatusOr<std::vector<const Tensor*>> OpenSegmentInputs(const partition::Segment& segment,
                                                             const SecretTensors& live) {
  if (segment.place != partition::Placement::kOpen || segment.confidential) {
    return ErrorOf(Reason::kInternal);
  }
  return FindInputs(segment.inputs, live);
}

absl::StatusOr<Tensor> LayerInput(const partition::Segment& segment, OutgoingLayer message) {
  const bool in_the_clear = message.form() == OutgoingLayer::Form::kClear;
  const partition::Placement wanted = in_the_clear ? partition::Placement::kVerified : partition::Placement::kBlinded;
  if (segment.place != wanted || segment.confidential || !message.complete()) {
    return ErrorOf(Reason::kInternal);
  }
  return OutgoingLayerAccess::Take(message);
}

}  // namespace shoji::enclave
