// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The evaluation models and pictures of ../shared/data, unpacked by tests/run.sh into build/testdata.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/image/preprocessing.h"
#include "lib/tensor/tensor.h"

namespace shoji::testing {

// Whether the data is there; tests that need it skip when it is not.
bool HasReferenceData();
std::string ReferenceDataDir();

struct ReferenceCase {
  std::string name;
  Bytes pixels;                 // height x width x channels, 8 bit; or, where that is empty,
  Bytes tensor;                 // the model's input in float32
  std::vector<float> expected;  // the model's raw outputs
};

struct ReferenceModel {
  std::string name;
  std::string onnx;  // path
  image::Preprocessing preprocessing;
  std::vector<ReferenceCase> cases;
  std::string pictures;     // a folder of pictures to calibrate with; empty: none
  std::string policies;     // the model's folder in config/policies
  size_t class_offset = 0;  // how many outputs stand before that of ImageNet's first class
};

// The CIFAR-10 and MNIST models with their reference outputs. Aborts when a file is missing or malformed.
std::vector<ReferenceModel> SmallReferenceModels();
// All models: the small ones, then the ImageNet ones, each with three photos and all outputs. Reads the one at `index`
// alone; aborts likewise.
inline constexpr size_t kNumSmallReferenceModels = 5;
inline constexpr size_t kNumReferenceModels = 12;
ReferenceModel ReferenceModelAt(size_t index);

// `preprocessing` as a model's YAML file states it.
std::string ToYaml(const image::Preprocessing& preprocessing);

// |a - b| <= 1e-3 + 1e-3 |b| for all, the tolerance that the data's README states. Returns "" or the first that is off.
std::string FirstMismatch(std::span<const float> actual, std::span<const float> expected);

}  // namespace shoji::testing
