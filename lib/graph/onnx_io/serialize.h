// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/tensor/tensor.h"

namespace onnx {
class ModelProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// An initializer in two parts: a serialized TensorProto without data, and the data.
struct SplitInitializer {
  std::string header;
  std::shared_ptr<const Tensor> values;
};

// `model` as bytes, with `initializers` added to its graph. Each one's values are let go as soon as they are written,
// so that of weights that nobody else holds no two copies stand at a time. RESOURCE_EXHAUSTED when the file would
// exceed 2 GiB, protobuf's limit.
absl::StatusOr<Bytes> Serialize(::onnx::ModelProto model, std::vector<SplitInitializer> initializers);

}  // namespace shoji::graph::onnx_io
