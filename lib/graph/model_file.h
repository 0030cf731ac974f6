// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Models as they lie on disk.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/graph/onnx_import.h"

namespace shoji::graph {

// Imports the ONNX file at `path`, of at most 2 GiB, and what its tensors hold in external files below the file's
// folder. `options` may leave out external_data and batch, which are set here. Errors name `path`.
absl::StatusOr<ImportedModel> ImportModelFile(const std::string& path, ImportOptions options = {});

}  // namespace shoji::graph
