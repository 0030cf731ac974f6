// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/status.h"
#include "lib/graph/onnx_import.h"

namespace onnx {
class ModelProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// Writes the shape that `options` states into the input of `model` whose dimensions the file leaves open, before
// anything is computed from them; `model` has passed CheckStructure. UNIMPLEMENTED: a dimension other than the first,
// the batch, stays dynamic; INVALID_ARGUMENT: the stated shape is not the one that the file fixes.
absl::Status BindInputShape(const ImportOptions& options, ::onnx::ModelProto& model);

}  // namespace shoji::graph::onnx_io
