// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

#include "lib/base/bytes.h"

namespace shoji::testing {

struct ExternalModel {
  Bytes onnx;
  Bytes weights;  // of the file beside it
};

// The model `onnx` with all its initializers in one file, which it calls `name`.
ExternalModel MoveWeightsOut(ByteSpan onnx, const std::string& name);

}  // namespace shoji::testing
