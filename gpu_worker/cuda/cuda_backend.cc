// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/cuda_backend.h"

#include <string>
#include <utility>

#include "gpu_worker/cpu/open_model.h"
#include "gpu_worker/cuda/device.h"
#include "gpu_worker/cuda/linear_model.h"
#include "gpu_worker/cuda/open_model.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::unique_ptr<Device> device, const CudaBackendOptions& options)
      : device_(std::move(device)), name_("cuda/" + device_->name()), options_(options) {}

  const std::string& name() const override { return name_; }

  using Backend::Load;
  absl::StatusOr<std::unique_ptr<Model>> Load(ByteSource& onnx) override {
    ASSIGN_OR_RETURN(graph::Graph graph, ImportOpenSegment(onnx, options_.cpu));
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
};

}  // namespace

bool BuiltWithCuda() { return true; }

absl::StatusOr<std::unique_ptr<Backend>> CreateCudaBackend(const CudaBackendOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Device> device,
                   Device::Open({.ordinal = options.device, .on_lost = options.on_lost}));
  RETURN_IF_ERROR(TestCudaLinearModels(*device));
  return std::make_unique<CudaBackend>(std::move(device), options);
}

}  // namespace shoji::accelerator
