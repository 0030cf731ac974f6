// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The stages of float32 segments.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "enclave_worker/core/model_context.h"
#include "enclave_worker/core/stage.h"
#include "lib/graph/graph.h"
#include "lib/partition/plan.h"

namespace shoji::enclave {

// Placement `enclave`: a compiled program, run under a compute slot. Errors of Run: DEADLINE, INTERNAL.
absl::StatusOr<std::unique_ptr<Stage>> CreateEnclaveStage(graph::Graph part, const partition::Segment& segment,
                                                          const ModelContext& context);

// Placement `open`: an ONNX sub-model, registered with the segment's accelerators while the stage lives. Errors of Run:
// NO_ACCELERATOR, DEADLINE, INTERNAL.
absl::StatusOr<std::unique_ptr<Stage>> CreateOpenStage(graph::Graph part, const partition::Segment& segment,
                                                       const ModelContext& context);

}  // namespace shoji::enclave
