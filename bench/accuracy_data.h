// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The classifiers of the evaluation data with the pictures that they are calibrated and judged on.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/image/preprocessing.h"
#include "lib/tensor/tensor.h"

namespace shoji::bench {

// One picture. Read when it is asked for.
struct Example {
  std::function<absl::StatusOr<Tensor>()> input;  // as the model takes it
  size_t label = 0;                               // the index among the model's outputs
  std::optional<size_t> expected;                 // what the reference runtime answers, where the data says it
  bool calibrates = false;                        // whether the model is also calibrated on it
};

struct Classifier {
  std::string name;
  std::string onnx;  // path
  image::Preprocessing preprocessing;
  std::vector<Example> calibration;
  std::vector<Example> evaluation;
};

struct DataOptions {
  std::string folder;        // as the data's unpack.sh leaves it
  size_t num_calibration = 200;
  size_t num_evaluation = 0;  // at most so many pictures a model, spread over all; 0: all
};

// Every classifier whose reference outputs lie in the folder: ImageNet ones are judged on its 500 photos, and, since it
// holds no others, calibrated on some of them, spread evenly; CIFAR-10 ones on its test pictures, calibrated on training
// pictures; MNIST ones on digits. Errors name the file.
absl::StatusOr<std::vector<Classifier>> LoadClassifiers(const DataOptions& options);

}  // namespace shoji::bench
