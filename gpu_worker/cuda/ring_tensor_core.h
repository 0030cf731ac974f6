// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// RingKernel::kTensorCore, for ring_kernels.cu.
#pragma once

#include "gpu_worker/cuda/ring_kernels.h"

namespace shoji::accelerator {

// As PositionsPerStep and LaunchRingConv.
int32_t TensorCoreStep(const RingConv& conv, int num_multiprocessors);
cudaError_t LaunchTensorCore(const RingConv& conv, int num_multiprocessors, int32_t begin, int32_t end,
                             const uint8_t* limbs, const int8_t* weights, uint8_t* words, cudaStream_t stream);

}  // namespace shoji::accelerator
