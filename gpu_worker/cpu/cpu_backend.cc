// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cpu/cpu_backend.h"

#include <string>
#include <utility>

#include "gpu_worker/cpu/linear_model.h"
#include "gpu_worker/cpu/open_model.h"
#include "lib/base/status_macros.h"

namespace shoji::accelerator {
namespace {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuBackendOptions& options)
      : name_(std::string("cpu/") + kernels::ring::NameOf(options.isa)), options_(options) {}

  const std::string& name() const override { return name_; }

  using Backend::Load;
  absl::StatusOr<std::unique_ptr<Model>> Load(ByteSource& onnx) override {
    ASSIGN_OR_RETURN(graph::Graph graph, ImportOpenSegment(onnx, options_));
    return CreateCpuOpenModel(std::move(graph), options_);
  }

  absl::StatusOr<std::unique_ptr<LinearModel>> LoadLinear(const RingLayer& layer) override {
    return CreateCpuLinearModel(layer, options_);
  }

 private:
  const std::string name_;
  const CpuBackendOptions options_;
};

}  // namespace

std::unique_ptr<Backend> CreateCpuBackend(const CpuBackendOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace shoji::accelerator
