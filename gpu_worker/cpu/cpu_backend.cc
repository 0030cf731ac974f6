// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cpu/cpu_backend.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "gpu_worker/cpu/linear_model.h"
#include "lib/base/checked_math.h"
#include "lib/base/status_macros.h"
#include "lib/execution/program.h"
#include "lib/graph/cost.h"
#include "lib/graph/onnx_import.h"

namespace shoji::accelerator {
namespace {

// Keeps the workspaces of some finished runs for the next ones.
// Thread-safe.
class CpuModel final : public Model {
 public:
  CpuModel(std::unique_ptr<execution::Program> program, size_t max_idle)
      : program_(std::move(program)), max_idle_(max_idle) {}

  absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor> inputs, const StopCheck& stop) override {
    std::vector<const Tensor*> views;
    views.reserve(inputs.size());
    for (const Tensor& input : inputs) {
      views.push_back(&input);
    }
    std::unique_ptr<execution::Workspace> workspace = Take();
    absl::StatusOr<std::vector<Tensor>> outputs = program_->Run(views, *workspace, stop);
    Return(std::move(workspace));
    return outputs;
  }

  uint64_t memory_bytes() const override { return program_->constant_bytes() + program_->workspace_bytes(); }

 private:
  std::unique_ptr<execution::Workspace> Take() {
    {
      const absl::MutexLock lock(&mu_);
      if (!idle_.empty()) {
        std::unique_ptr<execution::Workspace> workspace = std::move(idle_.back());
        idle_.pop_back();
        return workspace;
      }
    }
    return program_->NewWorkspace();
  }

  void Return(std::unique_ptr<execution::Workspace> workspace) {
    const absl::MutexLock lock(&mu_);
    if (idle_.size() < max_idle_) {
      idle_.push_back(std::move(workspace));
    }  // else freed after the lock is released
  }

  const std::unique_ptr<execution::Program> program_;
  const size_t max_idle_;
  absl::Mutex mu_;
  std::vector<std::unique_ptr<execution::Workspace>> idle_ ABSL_GUARDED_BY(mu_);
};

absl::Status CheckMemory(const graph::Graph& graph, int64_t limit) {
  int64_t total = 0;
  for (const graph::Value& value : graph.values) {
    const auto bytes = static_cast<int64_t>(value.shape.num_elements() * SizeOf(value.type));
    const absl::StatusOr<int64_t> sum = CheckedAdd(total, bytes);
    if (!sum.ok() || *sum > limit) {
      return absl::ResourceExhaustedError("the sub-model needs more memory than the " + std::to_string(limit) +
                                          " bytes a model may use (quotas.model_memory)");
    }
    total = *sum;
  }
  return absl::OkStatus();
}

absl::Status CheckWork(const graph::Graph& graph, uint64_t limit) {
  const uint64_t operations = graph::CostOf(graph, 0, graph.nodes.size()).operations;
  if (operations > limit) {
    return absl::ResourceExhaustedError("one run of the sub-model takes " + std::to_string(operations) +
                                        " operations; a model may take " + std::to_string(limit) +
                                        " (quotas.model_macs)");
  }
  return absl::OkStatus();
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuBackendOptions& options)
      : name_(std::string("cpu/") + kernels::ring::NameOf(options.isa)), options_(options) {}

  const std::string& name() const override { return name_; }

  absl::StatusOr<std::unique_ptr<Model>> Load(ByteSpan onnx) override {
    ASSIGN_OR_RETURN(graph::Graph graph, graph::ImportOnnx(onnx, {.max_tensor_bytes = options_.max_model_memory}));
    RETURN_IF_ERROR(CheckMemory(graph, options_.max_model_memory));
    RETURN_IF_ERROR(CheckWork(graph, options_.max_model_macs));
    const auto memory = static_cast<size_t>(options_.max_model_memory);
    ASSIGN_OR_RETURN(std::unique_ptr<execution::Program> program,
                     execution::Program::Compile(std::move(graph), {.num_threads = options_.num_threads,
                                                                    .max_workspace_bytes = memory,
                                                                    .max_constant_bytes = memory}));
    return std::make_unique<CpuModel>(std::move(program), options_.max_idle_workspaces);
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
