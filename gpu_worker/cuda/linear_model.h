// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/cpu/cpu_backend.h"
#include "gpu_worker/cuda/device.h"
#include "gpu_worker/cuda/ring_kernels.h"
#include "gpu_worker/ring_layer.h"

namespace shoji::accelerator {

// As Backend::LoadLinear, within the bounds of `limits` on one model. `device` outlives it. A run holds a few requests'
// input and output on the device at a time; RESOURCE_EXHAUSTED when they do not fit beside the other runs. `kernel`: as
// CudaLinearLayer::Create.
absl::StatusOr<std::unique_ptr<LinearModel>> CreateCudaLinearModel(Device& device, const RingLayer& layer,
                                                                   const CpuBackendOptions& limits,
                                                                   std::optional<RingKernel> kernel = std::nullopt);

// Runs every kernel on adversarial cases, some 100 ms. FAILED_PRECONDITION when they do not run on this device at all;
// INTERNAL names the first case whose bits are wrong: then do not serve.
absl::Status TestCudaLinearModels(Device& device);

}  // namespace shoji::accelerator
