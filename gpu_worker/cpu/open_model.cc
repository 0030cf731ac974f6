// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cpu/open_model.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
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
    return RunBatch(std::move(inputs), 1, stop);
  }

  // Step by step, a few requests at a time: more workspaces than that gain nothing, and a tenant does not choose how
  // many there are.
  absl::StatusOr<std::vector<Tensor>> RunBatch(std::vector<Tensor> inputs, size_t batch,
                                               const StopCheck& stop) override {
    constexpr size_t kMost = 8;
    constexpr size_t kMostBytes = size_t{256} << 20;
    const size_t together = std::clamp<size_t>(kMostBytes / std::max<size_t>(1, program_->workspace_bytes()), 1, kMost);
    std::vector<const Tensor*> views;
    views.reserve(inputs.size());
    for (const Tensor& input : inputs) {
      views.push_back(&input);
    }
    const size_t each = views.size() / batch;
    std::vector<Tensor> outputs;
    for (size_t begin = 0; begin < batch; begin += together) {
      const size_t count = std::min(together, batch - begin);
      RETURN_IF_ERROR(RunTogether(std::span(views).subspan(begin * each, count * each), count, stop, outputs));
    }
    return outputs;
  }

  uint64_t memory_bytes() const override { return program_->constant_bytes() + program_->workspace_bytes(); }

 private:
  // Adds the outputs of `count` requests to `outputs`.
  absl::Status RunTogether(std::span<const Tensor* const> views, size_t count, const StopCheck& stop,
                           std::vector<Tensor>& outputs) {
    const size_t each = views.size() / count;
    std::vector<std::unique_ptr<execution::Workspace>> workspaces;
    std::vector<execution::Program::BatchRun> runs;
    for (size_t i = 0; i < count; ++i) {
      workspaces.push_back(Take());
      runs.push_back({views.subspan(i * each, each), workspaces.back().get()});
    }
    const absl::Status ran = program_->RunBatch(runs, stop);
    for (std::unique_ptr<execution::Workspace>& workspace : workspaces) {
      Return(std::move(workspace));
    }
    RETURN_IF_ERROR(ran);
    for (execution::Program::BatchRun& run : runs) {
      outputs.insert(outputs.end(), std::make_move_iterator(run.outputs.begin()),
                     std::make_move_iterator(run.outputs.end()));
    }
    return absl::OkStatus();
  }

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

}  // namespace

absl::StatusOr<graph::Graph> ImportOpenSegment(ByteSource& onnx, const CpuBackendOptions& options) {
  ASSIGN_OR_RETURN(graph::Graph graph, graph::ImportOnnx(onnx, {.max_tensor_bytes = options.max_model_memory}));
  RETURN_IF_ERROR(CheckMemory(graph, options.max_model_memory));
  RETURN_IF_ERROR(CheckWork(graph, options.max_model_macs));
  return graph;
}

absl::StatusOr<std::unique_ptr<Model>> CreateCpuOpenModel(graph::Graph graph, const CpuBackendOptions& options) {
  const auto memory = static_cast<size_t>(options.max_model_memory);
  ASSIGN_OR_RETURN(std::unique_ptr<execution::Program> program,
                   execution::Program::Compile(std::move(graph), {.num_threads = options.num_threads,
                                                                  .max_workspace_bytes = memory,
                                                                  .max_constant_bytes = memory}));
  return std::make_unique<CpuModel>(std::move(program), options.max_idle_workspaces);
}

}  // namespace shoji::accelerator
