// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an accelerator computes with. One implementation a folder: cpu/ always, cuda/ where a toolkit is found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gpu_worker/ring_layer.h"
#include "lib/base/byte_source.h"
#include "lib/base/bytes.h"
#include "lib/tensor/tensor.h"

namespace shoji::accelerator {

// Asked again and again during a run, on any thread: OK to go on, anything else ends the run with that status. An empty
// one never stops.
using StopCheck = std::function<absl::Status()>;

// A loaded sub-model of an open segment. Thread-safe: any number of runs at the same time.
class Model {
 public:
  Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  virtual ~Model() = default;

  // Outputs in the order of the graph's outputs. INVALID_ARGUMENT when the number, types or shapes of `inputs` are not
  // the graph's; what `stop` says when it ended the run, at the latest before the next operator.
  virtual absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor> inputs, const StopCheck& stop) = 0;
  // The same for `batch` requests, with the bits that each has alone: their inputs, and then their outputs, one request
  // after the other. Here: a Run each. The number of inputs is a multiple of `batch`.
  virtual absl::StatusOr<std::vector<Tensor>> RunBatch(std::vector<Tensor> inputs, size_t batch, const StopCheck& stop);
  // What it holds on to while it is loaded: its constants and the memory of one run.
  virtual uint64_t memory_bytes() const = 0;
};

// A loaded linear layer. It works where its input lies and its output goes, because the largest tensors of a network
// pass here. Thread-safe: any number of runs at the same time.
class LinearModel {
 public:
  LinearModel() = default;
  LinearModel(const LinearModel&) = delete;
  LinearModel& operator=(const LinearModel&) = delete;
  virtual ~LinearModel() = default;

  // Both uint8; see RingLayer.
  virtual const Shape& input_shape() const = 0;
  virtual const Shape& output_shape() const = 0;

  // `limbs` and `words` have exactly the bytes of these shapes. What `stop` says when it ended the run, at the latest
  // before the next rows of the output; what stands in `words` then is nobody's business.
  virtual absl::Status Run(ByteSpan limbs, std::span<uint8_t> words, const StopCheck& stop) = 0;
  // The same for several requests. Here: a Run each.
  struct BatchRun {
    ByteSpan limbs;
    std::span<uint8_t> words;
  };
  virtual absl::Status RunBatch(std::span<const BatchRun> runs, const StopCheck& stop);
  // What it holds on to while it is loaded: its weights and the memory of one run, input and output included.
  virtual uint64_t memory_bytes() const = 0;
};

// Makes models. Thread-safe.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  // "cpu/avx2", for Describe and the log.
  virtual const std::string& name() const = 0;

  // Reads a serialized ONNX model, which may come from an adversary: INVALID_ARGUMENT, UNIMPLEMENTED (names node and
  // operator) or RESOURCE_EXHAUSTED (over the backend's bounds on the memory and the work of one model).
  virtual absl::StatusOr<std::unique_ptr<Model>> Load(ByteSource& onnx) = 0;
  absl::StatusOr<std::unique_ptr<Model>> Load(ByteSpan onnx) {
    SpanSource source(onnx);
    return Load(source);
  }
  // Makes the kernel of `layer`, which an adversary may have chosen: RESOURCE_EXHAUSTED as above, INVALID_ARGUMENT.
  virtual absl::StatusOr<std::unique_ptr<LinearModel>> LoadLinear(const RingLayer& layer) = 0;
};

}  // namespace shoji::accelerator
