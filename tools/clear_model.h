// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/graph/onnx_import.h"

namespace shoji::tools {

// The model in an ONNX file. FAILED_PRECONDITION for a sealed one: nobody but an enclave with its owner's key reads it.
absl::StatusOr<graph::ImportedModel> LoadClearModel(const std::string& path);

}  // namespace shoji::tools
