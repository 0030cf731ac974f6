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
  size_t max_values = 100000;                   // inputs, initializers and outputs, each
  int64_t max_tensor_bytes = int64_t{1} << 31;  // of any one value, constants included
};

// Reads a serialized ONNX ModelProto (opset 7 to 17, IR 3 to 8). In this order: protobuf, our own limits on counts,
// sizes and names, libonnx's checker, normalization into Graph with a shape rule of our own per operator, and last
// libonnx's shape inference, which must agree: it meets only files that all the others accepted. A dynamic batch
// dimension becomes 1; initializers that are also listed as inputs are constants. Constant sub-graphs are folded (at
// most 64 MiB and four times the file), Identity and inference-time Dropout removed unless they make an output, nodes
// that no output depends on dropped; BatchNormalization and every other computing node stays, so that a policy may cut
// there. What stays is float32. `model` may come from an adversary: errors are INVALID_ARGUMENT (malformed; names the
// node or value), UNIMPLEMENTED (an operator, attribute form, type or version that is not supported; names node and
// operator), RESOURCE_EXHAUSTED (over the limits). Never throws.
absl::StatusOr<Graph> ImportOnnx(ByteSpan model, const ImportOptions& options = {});

}  // namespace shoji::graph
