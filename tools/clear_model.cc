// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/clear_model.h"

#include "lib/base/status_macros.h"
#include "lib/graph/model_file.h"
#include "lib/sealed_model/open.h"

namespace shoji::tools {

absl::StatusOr<graph::ImportedModel> LoadClearModel(const std::string& path) {
  if (const absl::StatusOr<bool> sealed = sealed_model::SealedFile::IsSealed(path); sealed.ok() && *sealed) {
    return absl::FailedPreconditionError(
        path +
        ": this is a sealed model, which only an enclave can read that its owner has released the key to; give "
        "the ONNX file that it was sealed from");
  }
  return graph::ImportModelFile(path);
}

}  // namespace shoji::tools
