// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <cuda_runtime.h>

namespace {
__global__ void Increment(unsigned int* value) { atomicAdd(value, 1U); }
}  // namespace

cudaError_t LaunchIncrement(unsigned int* value) {
  Increment<<<1, 32>>>(value);
  return cudaGetLastError();
}
