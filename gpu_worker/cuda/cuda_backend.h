// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/backend.h"
#include "gpu_worker/cpu/cpu_backend.h"

namespace shoji::accelerator {

// Whether this program was built with a CUDA toolkit (cmake/Cuda.cmake).
bool BuiltWithCuda();

struct CudaBackendOptions {
  int device = 0;  // as CUDA counts those that CUDA_VISIBLE_DEVICES leaves
  // The bounds on one model, which hold for the device's memory too; and what runs the open segments that the device
  // cannot.
  CpuBackendOptions cpu = {};
  // Told, on any thread, why the CPU runs an open segment.
  std::function<void(const absl::Status& why)> on_cpu_model = nullptr;
  // Told before the backend is there that its open segments all run on the CPU, as the device's self-test of them
  // failed.
  std::function<void(const absl::Status& why)> on_open_segments_on_cpu = nullptr;
  // Told once, on any thread, when the device failed: every call from then on is UNAVAILABLE, and only a new process
  // can use it again.
  std::function<void(const absl::Status& why)> on_lost = nullptr;
};

// Runs linear layers and open segments on a CUDA device. Its name is "cuda/" and the device's, and then, where that
// is so, that open segments run on the CPU.
// Device memory that runs out is RESOURCE_EXHAUSTED, in loads and in runs.
// UNIMPLEMENTED when this program was built without CUDA; FAILED_PRECONDITION when there is no usable device; both say
// what to do. INTERNAL when linear layers have wrong bits there: then do not serve. UNAVAILABLE when it was lost
// meanwhile.
absl::StatusOr<std::unique_ptr<Backend>> CreateCudaBackend(const CudaBackendOptions& options);

}  // namespace shoji::accelerator
