// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/clear_model.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/model_file.h"
#include "lib/sealed_model/open.h"
#include "lib/tensor/shape_text.h"

namespace shoji::tools {

absl::StatusOr<graph::ImportedModel> LoadClearModel(const std::string& path,
                                                    std::optional<graph::StatedInputShape> input_shape) {
  if (const absl::StatusOr<bool> sealed = sealed_model::SealedFile::IsSealed(path); sealed.ok() && *sealed) {
    return absl::FailedPreconditionError(
        path +
        ": this is a sealed model, which only an enclave can read that its owner has released the key to; give "
        "the ONNX file that it was sealed from");
  }
  graph::ImportOptions options;
  options.input_shape = std::move(input_shape);
  options.how_to_fix_shape =
      "state what it shall be with --input-shape (3x224x224, say), or export the model with a fixed input shape";
  return graph::ImportModelFile(path, std::move(options));
}

void AddInputShapeOption(CLI::App& command, std::string& text) {
  const auto is_shape = [](const std::string& value) {
    const absl::StatusOr<Shape> shape = ParseShape(value);
    return shape.ok() ? std::string() : std::string(shape.status().message());
  };
  command
      .add_option("--input-shape", text,
                  "what the model is given, without the batch (3x224x224), where its file leaves dimensions dynamic")
      ->check(is_shape)
      ->type_name("SHAPE");
}

absl::StatusOr<graph::ImportedModel> LoadClearModel(const std::string& path, const std::string& input_shape_text) {
  if (input_shape_text.empty()) {
    return LoadClearModel(path, std::nullopt);
  }
  ASSIGN_OR_RETURN(Shape shape, ParseShape(input_shape_text));
  return LoadClearModel(path, graph::StatedInputShape{std::move(shape), "--input-shape states"});
}

}  // namespace shoji::tools
