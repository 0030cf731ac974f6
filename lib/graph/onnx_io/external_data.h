// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "absl/status/statusor.h"
#include "lib/digest/sha2.h"
#include "lib/graph/onnx_import.h"
#include "lib/graph/onnx_io/large_tensors.h"

namespace onnx {
class ModelProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// Reads what the tensors of `model` (which CheckStructure accepted) hold in external files into `large`, or into their
// protos where it is little, so that none is external any more. Returns how many there were. The length (8 bytes,
// big-endian) and the bytes of each, initializers first, in the order of the file, pass `digest`, if given. Errors name
// tensor and file.
absl::StatusOr<size_t> ReadExternalData(::onnx::ModelProto& model, const ImportOptions& options, LargeTensors& large,
                                        digest::Sha256Stream* digest);

}  // namespace shoji::graph::onnx_io
