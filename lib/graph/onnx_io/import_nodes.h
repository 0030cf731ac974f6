// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <vector>

#include "absl/status/status.h"
#include "lib/graph/onnx_import.h"
#include "lib/graph/onnx_io/builder.h"
#include "lib/graph/onnx_io/functions.h"

namespace onnx {
class ModelProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// Brings the nodes of `model`, which CheckStructure accepted, into `builder` one after the other. Each If is replaced
// in `model` by the nodes of the branch that it takes, so that no If is left; its name stands for all of them, as that
// of one of `calls` does for a function's. RESOURCE_EXHAUSTED: more than `options.max_nodes` nodes come of it.
absl::Status ImportNodes(::onnx::ModelProto& model, const ImportOptions& options, const std::vector<InlinedCall>& calls,
                         GraphBuilder& builder);

}  // namespace shoji::graph::onnx_io
