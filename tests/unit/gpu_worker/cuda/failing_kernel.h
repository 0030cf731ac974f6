// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Kernels that do what ours must never do. For tests only.
#pragma once

#include <cuda_runtime.h>

namespace shoji::accelerator::testing {

// Writes where nothing is.
cudaError_t LaunchFailingKernel(cudaStream_t stream);
// Wants more shared memory than any device has.
cudaError_t LaunchRefusedKernel(cudaStream_t stream);

}  // namespace shoji::accelerator::testing
