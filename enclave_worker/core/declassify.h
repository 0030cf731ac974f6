// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The only ways by which something computed from a client's input leaves the enclave in the clear. Each function argues
// why the host may see what it returns. Sealed answers leave through lib/channel and need no entry here.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "enclave_worker/core/outgoing_layer.h"
#include "enclave_worker/core/secret_tensors.h"
#include "lib/attest/result_rule.h"
#include "lib/partition/plan.h"
#include "lib/tensor/tensor.h"

namespace shoji::enclave {

// The live tensors that enter an `open` segment, for the accelerators that the plan names. They may be seen because the
// policy opens exactly these: the resolved plan, whose digest is in the attested manifest, lists this segment with
// these tensors, and a client saw `OpenedSegment` in the manifest before it sent its input. INTERNAL for a segment of
// any other placement, or one whose inputs are not there: nothing is sent.
absl::StatusOr<std::vector<const Tensor*>> OpenSegmentInputs(const partition::Segment& segment,
                                                             const SecretTensors& live);

// The input of one linear layer of a `blinded` or `verified` segment, as an accelerator gets it.
//
// Blinded: x' + r mod 2^k, or r alone. Either is uniformly random and independent of x', because r is exactly uniform
// over the ring and used once (pad_pool.h says why), so whoever sees one of them, and nothing else that depends on r,
// learns nothing. With `shares` two operators get one each; that they are never the same one is the plan's business
// (lib/partition/plan.h) and LayerOffload's.
// Verified: x in the clear, because the policy opens exactly these segments: see OpenSegmentInputs.
//
// What an accelerator answered before has passed its check: a stage that verifies builds the next message while it
// checks, but comes here only afterwards. INTERNAL for a message that is not complete, or whose form is not its
// segment's: nothing is sent.
absl::StatusOr<Tensor> LayerInput(const partition::Segment& segment, OutgoingLayer message);

// Puts the scores of one output into the form in which the owner of a sealed model lets them leave, before they are
// sealed for the client:
//
//   scores     as they are
//   rounded:d  each to d decimals, half to even
//   top-k:k    the k largest as they are (of equals, those that come first; a NaN counts as the smallest); every other
//              score becomes 0 where all of those are above 0, else the lowest finite float, so that it ranks below
//              them
//
// The client may see them because the attested manifest states the form, and the owner's header demands it. What it
// takes depends on the number of scores and k only.
void LimitResult(const attest::ResultRule& rule, std::span<float> scores);

}  // namespace shoji::enclave
