// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The steps of import that libonnx and protobuf take part in; the only code that lets their exceptions be thrown.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/graph/graph.h"
#include "lib/graph/onnx_import.h"

namespace onnx {
class ModelProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// Parses `bytes` into `model`: INVALID_ARGUMENT when they are no ModelProto.
absl::Status ParseModel(ByteSpan bytes, ::onnx::ModelProto& model);

// Our own limits on a parsed file, checked before libonnx or any operator's code sees it: versions, counts, tensor
// sizes, operators and attribute kinds known, names defined once and before they are read, types and extents of the
// inputs.
absl::Status CheckStructure(const ::onnx::ModelProto& model, const ImportOptions& options);

// libonnx's checker.
absl::Status RunChecker(const ::onnx::ModelProto& model);

// Runs libonnx's shape inference over `model`, which `graph` was made from, and compares: INVALID_ARGUMENT names a
// value whose inferred shape is not the one in `graph`. Drops the shapes that `model` declares.
absl::Status CrossCheckShapes(::onnx::ModelProto& model, const Graph& graph);

// The version of the default operator set that `model` imports; 0: none.
int64_t OpsetOf(const ::onnx::ModelProto& model);

}  // namespace shoji::graph::onnx_io
