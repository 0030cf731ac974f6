// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A part of a model in int8: a list of steps over a frame of values. Linear layers with constant weights are
// LinearLayers, whose arithmetic is exact, so that a step may be computed here or anywhere else with the same bits;
// everything else is computed here, by kernels that give the same bits on every CPU. Which values are bytes and which
// stay float32:
//
//   - a value is kept in 8 bits where a linear layer reads it, or an operator that only moves bytes (pooling of maxima,
//     concatenation) for one; it needs a calibrated range then;
//   - what other operators make between two linear layers (sums, gates, averages, activations that do not just clamp)
//     is float32, so that each value is rounded once before a layer, and not again at every operator;
//   - inputs and outputs of the program are float32 tensors, row-major, as in lib/execution.
//
// The result does not depend on where a policy cuts inside the part: passes see the part as a whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/kernels/geometry.h"
#include "lib/kernels/ring/linear.h"
#include "lib/quantization/activation_ranges.h"
#include "lib/quantization/linear_layer.h"
#include "lib/tensor/tensor.h"

namespace shoji::quantization {

// The number of a value in a frame.
using Slot = uint32_t;

// Bytes as lib/kernels/ring/layout.h lays out activations: [height][width][padded channels]. A two-dimensional value
// [rows, features] has height 1, width rows, channels features.
struct ByteTensor {
  int64_t height = 1;
  int64_t width = 1;
  int64_t channels = 1;
  QuantizationParameters parameters;
  std::vector<float> scales;  // empty, or one a channel: the channel's step is parameters.scale times its scale
};

// A linear layer, and the max pooling that follows it where nobody else reads what lies between (then `output` is the
// pooled value).
struct LinearStep {
  LinearLayer layer;
  std::optional<kernels::PoolGeometry> max_pool;
  Slot input = 0;  // bytes
  // Bytes, or where layer.quantized_output is false float32 in the order of bytes: [output height][output width][padded
  // out channels]. (ONNX's order is made where somebody wants it.)
  Slot output = 0;
};

// Anything else.
struct LocalStep {
  std::string name;  // of a node in the model's graph
};

struct Step {
  // For a linear step: the index in the graph given to Compile of the Conv, Gemm or MatMul that it is for. For a local
  // one: of its last node.
  size_t node = 0;
  std::variant<LinearStep, LocalStep> kind;
};

struct CompileOptions {
  kernels::ring::Isa isa = kernels::ring::Isa::kPortable;  // of the enclave's own int8 kernels; callers pass BestIsa()
  int num_threads = 1;                                     // at most, while it compiles; what comes of it is the same
};

// The values of one run: plaintext. Wiped at destruction, not written to core dumps. Thread-compatible.
class Frame {
 public:
  virtual ~Frame() = default;
  // A slot of bytes (kSize: ActivationRowBytes * height), or of float32.
  virtual std::span<uint8_t> bytes(Slot slot) = 0;
  virtual std::span<float> floats(Slot slot) = 0;
  virtual void Wipe() = 0;
  virtual size_t size_bytes() const = 0;

 protected:
  Frame() = default;
};

// Immutable and thread-safe once made: any number of runs at the same time, each with a frame of its own.
class Program {
 public:
  // `graph` is a part of a model as imported (BatchNormalization and all). INVALID_ARGUMENT names the layer for which
  // neither ring holds the accumulator, or the value that has no range in `ranges`; UNIMPLEMENTED an operator without a
  // kernel. A part without any linear layer is fine.
  static absl::StatusOr<std::unique_ptr<Program>> Compile(const graph::Graph& graph, const ActivationRanges& ranges,
                                                          const CompileOptions& options);
  Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  virtual ~Program() = default;

  virtual const std::vector<Step>& steps() const = 0;
  // Of a slot of bytes; nullptr for float32 slots.
  virtual const ByteTensor* byte_tensor(Slot slot) const = 0;

  // Aborts when memory runs out.
  virtual std::unique_ptr<Frame> NewFrame() const = 0;
  // A run: Begin, then every step in order, by RunStep here or, for a linear one, by whoever fills its output slot with
  // the same bits; then Finish. Inputs and outputs are those of the graph, float32.
  virtual absl::Status Begin(std::span<const Tensor* const> inputs, Frame& frame) const = 0;
  virtual absl::Status RunStep(size_t step, Frame& frame) const = 0;
  // The same for several runs, so that the step's weights are read from memory once and not once a run.
  virtual absl::Status RunStepBatch(size_t step, std::span<Frame* const> frames) const = 0;
  virtual std::vector<Tensor> Finish(Frame& frame) const = 0;

  // The int8 kernel of a linear step: for those who make pads, check, or recompute.
  virtual const kernels::ring::LinearKernel& kernel(size_t step) const = 0;
};

}  // namespace shoji::quantization
