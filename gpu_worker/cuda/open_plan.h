// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// An open segment made ready for a device: which kernels run in which order, on which addresses. Made without a device,
// and without CUDA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gpu_worker/cuda/open_kernels.h"
#include "lib/execution/program.h"
#include "lib/graph/graph.h"
#include "lib/tensor/tensor.h"

namespace shoji::accelerator::open_segment {

// Where a value lies: in the arena of a run, or among the constants of the model.
struct Place {
  size_t buffer = 0;  // index in OpenPlan::buffers
  size_t offset = 0;  // of its first byte in the buffer
};

struct OpenBuffer {
  enum class Memory : uint8_t { kArena, kConstants };
  Memory memory = Memory::kArena;
  size_t offset = 0;
};

// The memory of one run. Cheap to copy.
class Addresses {
 public:
  Addresses(const std::vector<OpenBuffer>& buffers, uint8_t* arena, const uint8_t* constants)
      : buffers_(&buffers), arena_(arena), constants_(constants) {}

  const float* In(const Place& place) const;
  // Requires a place in the arena.
  float* Out(const Place& place) const;

 private:
  const std::vector<OpenBuffer>* buffers_;
  uint8_t* arena_;
  const uint8_t* constants_;
};

// What is done for one node, and for those after it that are done with it.
struct OpenStep {
  std::string node;         // its name
  uint64_t operations = 0;  // as graph::Cost counts them
  // Adds its kernels to `out`.
  std::function<void(const Addresses& at, std::vector<Kernel>& out)> bind;
};

// What a driver keeps of one kernel of a recorded run. An estimate: CUDA does not say.
inline constexpr size_t kGraphNodeBytes = 1024;

// Immutable once made. Thread-safe.
struct OpenPlan {
  // Bytes that stand at `offset` of the constants.
  struct Constant {
    std::shared_ptr<const Tensor> tensor;
    size_t offset = 0;
  };
  std::vector<OpenStep> steps;
  std::vector<OpenBuffer> buffers;
  std::vector<Constant> constants;
  size_t constant_bytes = 0;
  size_t arena_bytes = 0;
  size_t num_kernels = 0;  // of a run
  std::vector<execution::TensorType> inputs;
  std::vector<execution::TensorType> outputs;
  std::vector<Place> input_places;
  std::vector<Place> output_places;

  // All kernels of a run, in order.
  std::vector<Kernel> Bind(uint8_t* arena, const uint8_t* constants) const;

  // What is kept for one run: its arena, and its kernels as they are bound to it and as they are recorded.
  size_t WorkspaceBytes() const { return arena_bytes + num_kernels * (sizeof(Kernel) + kGraphNodeBytes); }
  // For how many runs, at least one and at most `most`, that fits in `max_bytes`.
  size_t NumWorkspaces(size_t most, size_t max_bytes) const;
  // All that a model holds on to which keeps as much for so many runs.
  size_t MemoryBytes(size_t num_workspaces) const { return constant_bytes + num_workspaces * WorkspaceBytes(); }
};

struct OpenPlanOptions {
  size_t max_arena_bytes = size_t{2} << 30;     // of one run
  size_t max_constant_bytes = size_t{2} << 30;  // of weights
  size_t max_memory_bytes = size_t{4} << 30;    // of weights and one run, kernels included
  size_t max_kernels = 50000;                   // in one run
  int num_multiprocessors = 132;                // of the device: how work is cut depends on it, and so do roundings
};

// Plans `graph`, which may be hostile beyond what graph.h promises, after the passes that serve execution in float32.
// UNIMPLEMENTED names a node, with its operator, that no kernel runs, and covers forms that only a hostile file has;
// INVALID_ARGUMENT as execution::CheckGraph; RESOURCE_EXHAUSTED: over the limits on memory.
absl::StatusOr<OpenPlan> PlanOpenModel(graph::Graph graph, const OpenPlanOptions& options);

}  // namespace shoji::accelerator::open_segment
