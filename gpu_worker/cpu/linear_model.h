// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/cpu/cpu_backend.h"

namespace shoji::accelerator {

// As Backend::LoadLinear, within `options`.
absl::StatusOr<std::unique_ptr<LinearModel>> CreateCpuLinearModel(const RingLayer& layer,
                                                                  const CpuBackendOptions& options);

}  // namespace shoji::accelerator
