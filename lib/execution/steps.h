// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a graph is compiled to: a list of steps over buffers. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "lib/execution/program.h"
#include "lib/kernels/onednn/primitive.h"
#include "lib/tensor/tensor.h"

namespace shoji::execution {

using BufferId = uint32_t;

// A piece of memory that steps read and write. Several values may share one: a reshaped value, or a result computed in
// place of an operand that nothing reads any more.
struct Buffer {
  enum class Kind : uint8_t {
    kArena,     // in the workspace, at `offset`
    kInput,     // the caller's tensor `index`
    kOutput,    // the result tensor `index`
    kConstant,  // `constant`
  };
  Kind kind = Kind::kArena;
  size_t size_bytes = 0;
  size_t index = 0;
  std::shared_ptr<const Tensor> constant;  // shared with the graph, or with other programs over the same weights
  size_t offset = 0;
  size_t first_step = SIZE_MAX;
  size_t last_step = 0;
};

// A kernel on row-major values.
using PlainKernel = std::function<void(std::span<const std::span<const float>> inputs, std::span<float> output)>;

// A kernel of our own on values in other layouts.
struct NativeKernel {
  std::function<void(std::span<const float* const> inputs, float* output, std::span<uint8_t> scratch)> run;
  size_t scratch_bytes = 0;
  // `run` for several runs of the program, with the same bits, for kernels whose weights do not stay in a cache from
  // one run to the next. Empty: one after the other.
  struct Call {
    std::span<const float* const> inputs;
    float* output = nullptr;
  };
  std::function<void(std::span<const Call> calls)> run_batch = nullptr;
};

struct Operand {
  BufferId buffer = 0;
  size_t num_elements = 0;  // as plain kernels see it
  size_t offset = 0;        // of its first byte in the buffer
};

struct Step {
  std::string name;  // of the node, for messages
  std::variant<PlainKernel, NativeKernel, kernels::onednn::Primitive> kernel;
  std::vector<Operand> inputs;
  Operand output;
};

// Immutable once compiled; shared by a program and its workspaces. Thread-safe.
struct CompiledGraph {
  std::unique_ptr<kernels::onednn::Engine> engine;  // outlives the primitives below
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::vector<TensorType> inputs;
  std::vector<TensorType> outputs;
  size_t arena_bytes = 0;    // of the buffers; scratch memory follows
  size_t scratch_bytes = 0;  // the most that any step needs
  int num_threads = 1;
};

}  // namespace shoji::execution
