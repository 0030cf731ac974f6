// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A graph made ready to run: passes applied, kernels chosen, weights prepacked, memory planned. The one executor of
// every process: the enclave runs its own segments with it, the accelerator those that a policy opens.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/tensor/tensor.h"

namespace shoji::execution {

enum class Backend {
  kOneDnn,     // graph passes, oneDNN kernels, ours for what oneDNN does not do
  kReference,  // the graph as it is with plain kernels, that tests compare against
};

struct CompileOptions {
  Backend backend = Backend::kOneDnn;
  int num_threads = 1;  // inside one run; with 1 a run starts no thread
  // Limits on what an untrusted graph may claim.
  size_t max_workspace_bytes = size_t{4} << 30;
  size_t max_constant_bytes = size_t{4} << 30;  // of weights in the form that kernels want
};

// All intermediate values of one run, scratch memory of kernels included; none are elsewhere. Not written to core
// dumps. One run at a time. Thread-compatible. May outlive its program.
class Workspace {
 public:
  virtual ~Workspace() = default;
  // Overwrites every intermediate value of the last run.
  virtual void Wipe() = 0;
  virtual size_t size_bytes() const = 0;

 protected:
  Workspace() = default;
};

struct TensorType {
  DataType type = DataType::kFloat32;
  Shape shape;
};

// INVALID_ARGUMENT says what of `inputs` is not of the number, types and shapes of `expected`.
absl::Status CheckTensors(std::span<const Tensor* const> inputs, std::span<const TensorType> expected);

// Asked between the steps of a run: OK to go on, anything else ends the run with that status. Called on the thread that
// runs. An empty one never stops.
using StopCheck = std::function<absl::Status()>;

// Immutable and thread-safe: any number of runs at the same time, each with a workspace of its own. The same inputs
// give the same bits in every run.
class Program {
 public:
  // `graph` may be hostile beyond what graph.h promises. UNIMPLEMENTED names a node that no kernel can run,
  // INVALID_ARGUMENT one whose shapes or attributes contradict each other; RESOURCE_EXHAUSTED: over the limits of
  // `options`. Keeps constants alive only where a kernel reads them in place.
  static absl::StatusOr<std::unique_ptr<Program>> Compile(graph::Graph graph, const CompileOptions& options);

  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  virtual ~Program() = default;

  virtual const std::vector<TensorType>& inputs() const = 0;
  virtual const std::vector<TensorType>& outputs() const = 0;
  // Of one workspace, and of the constants that the program keeps alive, shared ones included.
  virtual size_t workspace_bytes() const = 0;
  virtual size_t constant_bytes() const = 0;
  // Aborts when memory runs out.
  virtual std::unique_ptr<Workspace> NewWorkspace() const = 0;
  // Runs on `inputs` (types as inputs() says, INVALID_ARGUMENT otherwise) and returns the outputs. `workspace` comes
  // from this program (INVALID_ARGUMENT otherwise). Asks `stop` before each step, never within one.
  virtual absl::StatusOr<std::vector<Tensor>> Run(std::span<const Tensor* const> inputs, Workspace& workspace,
                                                  const StopCheck& stop) const = 0;
  absl::StatusOr<std::vector<Tensor>> Run(std::span<const Tensor* const> inputs, Workspace& workspace) const {
    return Run(inputs, workspace, StopCheck());
  }
  // Several runs step by step, so that the weights of a step are read from memory once and not once a run. The bits of
  // each are those of a Run of its own. `runs` have a workspace each; an error is all of theirs.
  struct BatchRun {
    std::span<const Tensor* const> inputs;
    Workspace* workspace = nullptr;
    std::vector<Tensor> outputs = {};  // set by RunBatch
  };
  virtual absl::Status RunBatch(std::span<BatchRun> runs, const StopCheck& stop) const = 0;

 protected:
  Program() = default;
};

}  // namespace shoji::execution
