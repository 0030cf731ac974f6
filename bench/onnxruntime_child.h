// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/tensor/shape.h"

namespace shoji::bench {

// onnxruntime in a process of its own, a Node script (onnxruntime_timer.cjs). Ends the process at destruction. Thread-
// compatible.
class OnnxRuntimeChild {
 public:
  // UNAVAILABLE says what is missing: node, or its module onnxruntime-node.
  static absl::StatusOr<std::unique_ptr<OnnxRuntimeChild>> Start(const std::string& script);
  OnnxRuntimeChild(const OnnxRuntimeChild&) = delete;
  OnnxRuntimeChild& operator=(const OnnxRuntimeChild&) = delete;
  ~OnnxRuntimeChild();

  const std::string& version() const { return version_; }

  // The model at `model`, to be run on the float32 values in the file `input`.
  absl::Status Load(const std::string& model, const std::string& input, const Shape& shape);
  // The first output's values. `scratch` is a file that it may write.
  absl::StatusOr<std::vector<float>> Answer(const std::string& scratch);
  // Runs `count` times; CPU microseconds of one.
  absl::StatusOr<double> Run(int count);

 private:
  OnnxRuntimeChild() = default;
  absl::StatusOr<std::string> Ask(const std::string& command);
  absl::StatusOr<std::string> ReadLine();

  pid_t pid_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
  std::string version_;
};

}  // namespace shoji::bench
