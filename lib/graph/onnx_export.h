// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/graph/graph.h"

namespace shoji::graph {

// `graph` as a serialized ONNX ModelProto (opset 14, the first with HardSwish; IR 8) that onnx.checker accepts in full,
// with value and node names kept: importing it gives `graph` again, but for the names of folded nodes and the spelling
// in `Node::op_type`. Deterministic: equal graphs give equal bytes. Weights that nobody else holds are let go one by
// one as they are written. RESOURCE_EXHAUSTED when the file would exceed 2 GiB, protobuf's limit.
absl::StatusOr<Bytes> ExportOnnx(Graph graph);

}  // namespace shoji::graph
