// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/gpu_worker/cuda/failing_kernel.h"

namespace shoji::accelerator::testing {
namespace {
__global__ void FailingKernel(int* nowhere) { *nowhere = 1; }
}  // namespace

cudaError_t LaunchFailingKernel(cudaStream_t stream) {
  FailingKernel<<<1, 1, 0, stream>>>(reinterpret_cast<int*>(8));
  return cudaGetLastError();
}

cudaError_t LaunchRefusedKernel(cudaStream_t stream) {
  FailingKernel<<<1, 1, size_t{1} << 24, stream>>>(nullptr);
  return cudaGetLastError();
}

}  // namespace shoji::accelerator::testing
