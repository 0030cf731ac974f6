// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <memory>

#include "gpu_worker/backend.h"

namespace shoji::accelerator {

struct CpuBackendOptions {
  int num_threads = 1;  // inside one run
  // Of all values of one sub-model together, weights included: what a small file may unfold to.
  int64_t max_model_memory = int64_t{2} << 30;
};

// Runs sub-models with lib/execution, on this host's CPU.
std::unique_ptr<Backend> CreateCpuBackend(const CpuBackendOptions& options);

}  // namespace shoji::accelerator
