// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_model.h"

namespace shoji::accelerator {

absl::StatusOr<std::unique_ptr<Model>> CreateCudaOpenModel(Device& /*device*/, const graph::Graph& /*graph*/,
                                                           const CudaBackendOptions& /*options*/) {
  return absl::UnimplementedError("open segments have no CUDA kernels");
}

}  // namespace shoji::accelerator
