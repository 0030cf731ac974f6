// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Any bytes as an ONNX file. What import accepts must also survive the passes, every export and a second import.

#include "lib/graph/onnx_import.h"

#include <cstddef>
#include <cstdint>

#include "lib/base/check.h"
#include "lib/graph/cost.h"
#include "lib/graph/cut.h"
#include "lib/graph/onnx_export.h"
#include "lib/graph/passes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoji::graph;  // NOLINT(google-build-using-namespace): the one function of this file.
  const ImportOptions options = {.max_nodes = 200, .max_tensor_bytes = int64_t{1} << 20};
  absl::StatusOr<Graph> graph = ImportOnnx({data, size}, options);
  if (absl::IsUnimplemented(graph.status())) {
    // Perhaps for the dimensions that it leaves dynamic.
    ImportOptions stating = options;
    stating.input_shape = {shoji::Shape({3, 8, 8}), "the fuzzer states"};
    graph = ImportOnnx({data, size}, stating);
  }
  if (!graph.ok()) {
    return 0;
  }
  (void)CostOf(*graph, 0, graph->nodes.size());
  const Graph suffix = Cut(*graph, graph->nodes.size() / 2, graph->nodes.size());
  const absl::StatusOr<shoji::Bytes> file = ExportOnnx(suffix);
  SHOJI_CHECK(file.ok());
  const absl::StatusOr<Graph> again = ImportOnnx(*file, options);
  SHOJI_CHECK(again.ok());
  SHOJI_CHECK(again->nodes.size() == suffix.nodes.size() && again->values.size() == suffix.values.size());
  Optimize(*graph);
  SHOJI_CHECK(ExportOnnx(*graph).ok());
  return 0;
}
