// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Activation ranges from example inputs, offline: the float32 network runs and every intermediate value is watched.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/graph/graph.h"
#include "lib/quantization/activation_ranges.h"
#include "lib/tensor/tensor.h"

namespace shoji::quantization {

enum class CalibrationMethod : uint8_t {
  kMinMax,            // the extremes seen
  kPercentile,        // what lies outside is at most 0.01 % of the values seen (99.99th percentile)
  // The range whose 8-bit rounding and clipping loses least, with scales for the channels and corrections of the linear
  // layers' biases (activation_ranges.h).
  kMeanSquaredError,
};

// Thread-compatible.
class Calibrator {
 public:
  // Of a whole model as imported. Errors: as execution::Program::Compile.
  static absl::StatusOr<std::unique_ptr<Calibrator>> Create(const graph::Graph& graph, CalibrationMethod method);
  Calibrator() = default;
  Calibrator(const Calibrator&) = delete;
  Calibrator& operator=(const Calibrator&) = delete;
  virtual ~Calibrator() = default;

  // One example; the graph's inputs. Call it for every example, then, as often as `num_passes()` says, NextPass() and
  // for every example once more: ranges need the extremes first, corrections the ranges.
  virtual absl::Status Observe(const std::vector<const Tensor*>& inputs) = 0;
  virtual int num_passes() const = 0;
  virtual void NextPass() = 0;
  // Of every value that may be in 8 bits, whichever way a policy cuts the model. FAILED_PRECONDITION before any example.
  virtual absl::StatusOr<ActivationRanges> Finish() const = 0;
};

}  // namespace shoji::quantization
