// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cuda_runtime.h>

#include "gpu_worker/cuda/open_kernels.h"

namespace shoji::accelerator::open_segment {

// Launches `kernel`, whose pointers are to the calling thread's device, on `stream`. cudaGetLastError() tells whether
// that worked. The same arguments give the same bits every time.
void Launch(const Kernel& kernel, cudaStream_t stream);

}  // namespace shoji::accelerator::open_segment
