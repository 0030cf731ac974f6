// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "gpu_worker/backend.h"
#include "lib/kernels/ring/linear.h"

namespace shoji::accelerator {

struct CpuBackendOptions {
  int num_threads = 1;  // inside one run
  // Of linear layers; must be supported.
  kernels::ring::Isa isa = kernels::ring::Isa::kPortable;
  // Of all values of one sub-model together, weights included: what a small file may unfold to.
  int64_t max_model_memory = int64_t{2} << 30;
  // Of one run of one sub-model, as graph::Cost counts operations: the multiply-accumulates of its layers (of every
  // limb), and the elements that other operators touch.
  uint64_t max_model_macs = 1'000'000'000'000;
  // A model keeps the memory of this many finished runs for the next ones.
  size_t max_idle_workspaces = 1;
};

// Runs open segments with lib/execution and linear layers with lib/kernels/ring, on this host's CPU.
std::unique_ptr<Backend> CreateCpuBackend(const CpuBackendOptions& options);

}  // namespace shoji::accelerator
