// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/image/preprocessing.h"

namespace shoji::preprocessing_file {

// Reads how a model wants its pictures from a YAML file beside it; models/cifar10_resnet.preprocessing.yaml shows every key.
// Errors name file, line and key.
absl::StatusOr<image::Preprocessing> LoadPreprocessing(const std::string& path);

}  // namespace shoji::preprocessing_file
