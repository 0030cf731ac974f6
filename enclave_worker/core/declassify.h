// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The only ways by which something computed from a client's input leaves the enclave in the clear. Each function argues
// why the host may see what it returns. Sealed answers leave through lib/channel and need no entry here.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/secret_tensors.h"
#include "lib/partition/plan.h"
#include "lib/tensor/tensor.h"

namespace shoji::enclave {

// The live tensors that enter an `open` segment, for the accelerators that the plan names. They may be seen because the
// policy opens exactly these: the resolved plan, whose digest is in the attested manifest, lists this segment with
// these tensors, and a client saw `OpenedSegment` in the manifest before it sent its input. INTERNAL for a segment of
// any other placement, or one whose inputs are not there: nothing is sent.
absl::StatusOr<std::vector<const Tensor*>> OpenSegmentInputs(const partition::Segment& segment,
                                                             const SecretTensors& live);

}  // namespace shoji::enclave
