// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/cuda_layers.h"

namespace shoji::bench {

absl::StatusOr<std::string> CudaDeviceName() {
  return absl::UnimplementedError("built without CUDA, or without its cuBLASLt");
}

absl::StatusOr<CudaTimes> MeasureCudaLayers(const Network& /*network*/, const CudaOptions& /*options*/) {
  return CudaDeviceName().status();
}

}  // namespace shoji::bench
