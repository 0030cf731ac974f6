// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "enclave_worker/core/model_context.h"
#include "enclave_worker/core/stage.h"
#include "lib/graph/graph.h"
#include "lib/partition/plan.h"
#include "lib/quantization/activation_ranges.h"

namespace shoji::enclave {

// A run of int8 segments (partition::Region): compiled as one, with its linear layers in the enclave or on
// accelerators, masked or in the clear, as the segment of each says. Every placement gives the same bits, because the
// layers' sums are exact integers. An accelerator that is lost, late or lying costs time and never an answer: the layer
// is then computed here. Errors of Run: DEADLINE, OVERLOADED (no pad, `on_empty: reject`), INTERNAL.
//
// INVALID_ARGUMENT names the layer or value for which int8 is not possible, or says that the pool holds no pad.
absl::StatusOr<std::unique_ptr<Stage>> CreateQuantizedStage(const std::string& model, graph::Graph part,
                                                            std::span<const partition::Segment> segments,
                                                            const partition::MaskingPolicy& masking,
                                                            const quantization::ActivationRanges& ranges,
                                                            const ModelContext& context);

}  // namespace shoji::enclave
