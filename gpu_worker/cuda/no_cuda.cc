// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// In place of the rest of this folder where no toolkit was found.
#include "gpu_worker/cuda/cuda_backend.h"

namespace shoji::accelerator {

bool BuiltWithCuda() { return false; }

absl::StatusOr<std::unique_ptr<Backend>> CreateCudaBackend(const CudaBackendOptions& /*options*/) {
  return absl::UnimplementedError(
      "this shoji-accelerator was built without CUDA; build it where a CUDA toolkit is installed (SHOJI_CUDA=ON says "
      "what "
      "is missing), or set compute.backend to cpu");
}

}  // namespace shoji::accelerator
