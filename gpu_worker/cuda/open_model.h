// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/cuda/cuda_backend.h"
#include "gpu_worker/cuda/device.h"
#include "lib/graph/graph.h"

namespace shoji::accelerator {

// Makes the model of an open segment on `device`, which outlives it. `graph` is within the bounds of `options` on
// values and work; what it takes of the device's memory is bounded here. UNIMPLEMENTED says why the CPU has to run it.
// Products are cut for a device of `num_multiprocessors`; 0: as many as this one has.
absl::StatusOr<std::unique_ptr<Model>> CreateCudaOpenModel(Device& device, const graph::Graph& graph,
                                                           const CudaBackendOptions& options,
                                                           int num_multiprocessors = 0);

}  // namespace shoji::accelerator
