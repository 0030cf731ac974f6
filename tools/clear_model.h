// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/graph/onnx_import.h"

namespace CLI {
class App;
}  // namespace CLI

namespace shoji::tools {

// The model in an ONNX file, its input in the shape of `input_shape` where the file leaves that open.
// FAILED_PRECONDITION for a sealed one: nobody but an enclave with its owner's key reads it.
absl::StatusOr<graph::ImportedModel> LoadClearModel(const std::string& path,
                                                    std::optional<graph::StatedInputShape> input_shape);

// Adds --input-shape to `command`, whose text goes to `text`; what is no shape is wrong usage.
void AddInputShapeOption(CLI::App& command, std::string& text);
// The same as LoadClearModel with what that option says; empty: it was not given.
absl::StatusOr<graph::ImportedModel> LoadClearModel(const std::string& path, const std::string& input_shape_text);

}  // namespace shoji::tools
