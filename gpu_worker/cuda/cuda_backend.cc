// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/cuda_backend.h"

#include <cstdint>
#include <string>
#include <utility>

#include "gpu_worker/cpu/open_model.h"
#include "gpu_worker/cuda/device.h"
#include "gpu_worker/cuda/linear_model.h"
#include "gpu_worker/cuda/open_model.h"
#include "gpu_worker/cuda/open_self_test.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

enum class OpenSegments : uint8_t { kOnDevice, kOnCpu };

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::unique_ptr<Device> device, const CudaBackendOptions& options, OpenSegments open_segments)
      : device_(std::move(device)),
        name_("cuda/" + device_->name() + (open_segments == OpenSegments::kOnCpu ? ", open segments on the CPU" : "")),
        options_(options),
        open_segments_(open_segments) {}

  const std::string& name() const override { return name_; }

  using Backend::Load;
  absl::StatusOr<std::unique_ptr<Model>> Load(ByteSource& onnx) override {
    ASSIGN_OR_RETURN(graph::Graph graph, ImportOpenSegment(onnx, options_.cpu));
    if (open_segments_ == OpenSegments::kOnCpu) {
      return CreateCpuOpenModel(std::move(graph), options_.cpu);
    }
    absl::StatusOr<std::unique_ptr<Model>> model = CreateCudaOpenModel(*device_, graph, options_);
    if (!absl::IsUnimplemented(model.status())) {
      return model;
    }
    if (options_.on_cpu_model) {
      options_.on_cpu_model(model.status());
    }
    return CreateCpuOpenModel(std::move(graph), options_.cpu);
  }

  absl::StatusOr<std::unique_ptr<LinearModel>> LoadLinear(const RingLayer& layer) override {
    return CreateCudaLinearModel(*device_, layer, options_.cpu);
  }

 private:
  const std::unique_ptr<Device> device_;
  const std::string name_;
  const CudaBackendOptions options_;
  const OpenSegments open_segments_;
};

// Cut for this device, and for one of a single multiprocessor, where small products have the tiles of large ones.
absl::Status TestCudaOpenModels(Device& device) {
  for (const int num_multiprocessors : {device.num_multiprocessors(), 1}) {
    RETURN_IF_ERROR(TestOpenModels(
        [&](const graph::Graph& graph) { return CreateCudaOpenModel(device, graph, {}, num_multiprocessors); }));
  }
  return absl::OkStatus();
}

}  // namespace

bool BuiltWithCuda() { return true; }

absl::StatusOr<std::unique_ptr<Backend>> CreateCudaBackend(const CudaBackendOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Device> device,
                   Device::Open({.ordinal = options.device, .on_lost = options.on_lost}));
  RETURN_IF_ERROR(TestCudaLinearModels(*device));
  const absl::Status open = TestCudaOpenModels(*device);
  if (absl::IsUnavailable(open)) {
    return open;  // the device is lost
  }
  if (!open.ok() && options.on_open_segments_on_cpu) {
    options.on_open_segments_on_cpu(open);
  }
  return std::make_unique<CudaBackend>(std::move(device), options,
                                       open.ok() ? OpenSegments::kOnDevice : OpenSegments::kOnCpu);
}

}  // namespace shoji::accelerator
