// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/graph/graph.h"

namespace shoji::graph {

// `graph` as a serialized ONNX ModelProto (opset 13, IR 8) that onnx.checker accepts, with value and node names kept.
// Deterministic: equal graphs give equal bytes.
absl::StatusOr<Bytes> ExportOnnx(const Graph& graph);

}  // namespace shoji::graph
