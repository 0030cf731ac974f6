// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/cpu/cpu_backend.h"

namespace shoji::accelerator {

// As Backend::LoadLinear, within `options`.
absl::StatusOr<std::unique_ptr<LinearModel>> CreateCpuLinearModel(const RingLayer& layer,
                                                                  const CpuBackendOptions& options);

// The bounds on one model, for any backend. RESOURCE_EXHAUSTED says both numbers and the key.
absl::Status CheckLinearWork(const RingLayer& layer, const CpuBackendOptions& limits);
// `weight_bytes`: of the layer's weights as the backend keeps them; an error: more than can be counted. Counts one
// run's input and output too.
absl::Status CheckLinearMemory(const RingLayer& layer, const absl::StatusOr<uint64_t>& weight_bytes,
                               const CpuBackendOptions& limits);

}  // namespace shoji::accelerator
