// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/graph/graph.h"

namespace shoji::graph {

struct ImportOptions {
  size_t max_nodes = 20000;
  int64_t max_tensor_bytes = int64_t{1} << 31;  // of any one value, constants included
};

// Reads a serialized ONNX ModelProto (opset 7 to 17, IR 3 to 8) with libonnx: its checker and shape inference first,
// then normalization into Graph; a dynamic batch dimension becomes 1. Constant sub-graphs are folded, Identity and
// inference-time Dropout removed; BatchNormalization and every other computing node stays, so that a policy may cut
// there. `model` may come from an adversary: errors are INVALID_ARGUMENT (malformed; names the node or value),
// UNIMPLEMENTED (an operator or attribute form that is not supported; names node and operator), RESOURCE_EXHAUSTED (over
// the limits). Never throws.
absl::StatusOr<Graph> ImportOnnx(ByteSpan model, const ImportOptions& options = {});

}  // namespace shoji::graph
