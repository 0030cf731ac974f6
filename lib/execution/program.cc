// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/program.h"

#include <string>
#include <unordered_set>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/execution/builder.h"
#include "lib/execution/lowering.h"
#include "lib/execution/plain_kernels.h"
#include "lib/execution/steps.h"
#include "lib/execution/workspace.h"
#include "lib/graph/passes.h"

namespace shoji::execution {
namespace {

constexpr int kMaxThreads = 1024;

class CompiledProgram : public Program {
 public:
  explicit CompiledProgram(std::shared_ptr<const CompiledGraph> compiled) : compiled_(std::move(compiled)) {}

  const std::vector<TensorType>& inputs() const override { return compiled_->inputs; }
  const std::vector<TensorType>& outputs() const override { return compiled_->outputs; }
  size_t workspace_bytes() const override { return compiled_->arena_bytes + compiled_->scratch_bytes; }
  size_t constant_bytes() const override;
  std::unique_ptr<Workspace> NewWorkspace() const override;
  absl::StatusOr<std::vector<Tensor>> Run(std::span<const Tensor* const> inputs, Workspace& workspace,
                                          const StopCheck& stop) const override;
  absl::Status RunBatch(std::span<BatchRun> runs, const StopCheck& stop) const override;

 private:
  // Shared with the workspaces, which may outlive the program.
  const std::shared_ptr<const CompiledGraph> compiled_;
};

size_t CompiledProgram::constant_bytes() const {
  std::unordered_set<const Tensor*> counted;
  size_t total = 0;
  for (const Buffer& buffer : compiled_->buffers) {
    if (buffer.constant != nullptr && counted.insert(buffer.constant.get()).second) {
      total += buffer.constant->size_bytes();
    }
  }
  return total;
}

std::unique_ptr<Workspace> CompiledProgram::NewWorkspace() const {
  absl::StatusOr<std::unique_ptr<BoundWorkspace>> workspace = BoundWorkspace::Create(compiled_);
  SHOJI_CHECK(workspace.ok());  // fails only without memory
  return *std::move(workspace);
}

absl::StatusOr<std::vector<Tensor>> CompiledProgram::Run(std::span<const Tensor* const> inputs, Workspace& workspace,
                                                         const StopCheck& stop) const {
  BatchRun run = {inputs, &workspace};
  RETURN_IF_ERROR(RunBatch({&run, 1}, stop));
  return std::move(run.outputs);
}

absl::Status CompiledProgram::RunBatch(std::span<BatchRun> runs, const StopCheck& stop) const {
  std::vector<BoundWorkspace*> workspaces;
  workspaces.reserve(runs.size());
  for (BatchRun& run : runs) {
    RETURN_IF_ERROR(CheckTensors(run.inputs, compiled_->inputs));
    auto* bound = dynamic_cast<BoundWorkspace*>(run.workspace);
    if (bound == nullptr || &bound->compiled() != compiled_.get()) {
      return absl::InvalidArgumentError("the workspace is one of another program");
    }
    workspaces.push_back(bound);
    run.outputs.clear();
    run.outputs.reserve(compiled_->outputs.size());
    for (const TensorType& type : compiled_->outputs) {
      run.outputs.emplace_back(type.type, type.shape);
    }
    bound->Begin(run.inputs, run.outputs);
  }
  const kernels::onednn::ScopedThreads threads(compiled_->num_threads);
  return BoundWorkspace::Run(workspaces, stop);
}

absl::Status LowerNode(Builder& builder, size_t node, Backend backend) {
  if (backend == Backend::kOneDnn) {
    const absl::Status status = LowerFast(builder, node);
    if (!absl::IsUnimplemented(status)) {
      return status;
    }
  }
  return LowerPlain(builder, node);
}

}  // namespace

absl::Status CheckTensors(std::span<const Tensor* const> inputs, std::span<const TensorType> expected) {
  if (inputs.size() != expected.size()) {
    return absl::InvalidArgumentError("the program takes " + std::to_string(expected.size()) + " inputs, not " +
                                      std::to_string(inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* input = inputs[i];
    if (input == nullptr || input->type() != expected[i].type || !(input->shape() == expected[i].shape) ||
        input->bytes().size() != input->size_bytes()) {
      return absl::InvalidArgumentError(
          "input " + std::to_string(i) + " must be " + std::string(NameOf(expected[i].type)) +
          expected[i].shape.ToString() +
          (input == nullptr ? "" : ", not " + std::string(NameOf(input->type())) + input->shape().ToString()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Program>> Program::Compile(graph::Graph graph, const CompileOptions& options) {
  if (options.num_threads < 1 || options.num_threads > kMaxThreads) {
    return absl::InvalidArgumentError("a program cannot run with " + std::to_string(options.num_threads) +
                                      " threads; choose 1 to " + std::to_string(kMaxThreads));
  }
  RETURN_IF_ERROR(CheckGraph(graph));
  if (options.backend == Backend::kOneDnn) {
    graph::Optimize(graph);
    RETURN_IF_ERROR(CheckGraph(graph));
  }
  const kernels::onednn::ScopedThreads threads(options.num_threads);
  ASSIGN_OR_RETURN(const std::unique_ptr<Builder> builder, Builder::Create(graph, options));
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (builder->IsDone(i)) {
      continue;
    }
    if (const absl::Status status = LowerNode(*builder, i, options.backend); !status.ok()) {
      return AtNode(graph.nodes[i], status);
    }
    builder->MarkDone(i);
    for (const graph::ValueId id : builder->ReleaseConstants()) {
      graph.values[id].constant = nullptr;  // it stands packed now, or where a step reads it
    }
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const CompiledGraph> compiled, builder->Finish());
  return std::unique_ptr<Program>(std::make_unique<CompiledProgram>(std::move(compiled)));
}

}  // namespace shoji::execution
