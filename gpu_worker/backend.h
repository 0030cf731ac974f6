// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an accelerator computes with. One implementation a folder: cpu/ always, cuda/ where a toolkit is found.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/tensor/tensor.h"

namespace shoji::accelerator {

// Asked again and again during a run, on any thread: OK to go on, anything else ends the run with that status. An empty
// one never stops.
using StopCheck = std::function<absl::Status()>;

// A loaded sub-model. Thread-safe: any number of runs at the same time.
class Model {
 public:
  Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  virtual ~Model() = default;

  // Outputs in the order of the graph's outputs. INVALID_ARGUMENT when the number, types or shapes of `inputs` are not
  // the graph's; what `stop` says when it ended the run, at the latest before the next operator.
  virtual absl::StatusOr<std::vector<Tensor>> Run(std::vector<Tensor> inputs, const StopCheck& stop) = 0;
  // What it holds on to while it is loaded: its constants and the memory of one run.
  virtual uint64_t memory_bytes() const = 0;
};

// Makes models. Thread-safe.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  // "cpu", for Describe and the log.
  virtual const std::string& name() const = 0;

  // Reads a serialized ONNX model, which may come from an adversary: INVALID_ARGUMENT, UNIMPLEMENTED (names node and
  // operator) or RESOURCE_EXHAUSTED (over the backend's bounds on the memory and the work of one model). Does not keep
  // `onnx`.
  virtual absl::StatusOr<std::unique_ptr<Model>> Load(ByteSpan onnx) = 0;
};

}  // namespace shoji::accelerator
