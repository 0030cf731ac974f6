// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an ONNX file says about its nodes, without its weights: read in constant memory, however large the file is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoji::tools {

struct OutlineNode {
  std::string name;          // its first output's where the file gives none
  bool has_weights = false;  // a convolution, Gemm or MatMul with a constant operand
};

// A tensor that lies in another file.
struct ExternalTensor {
  std::string file;
  uint64_t offset = 0;
  std::optional<uint64_t> length;  // none: the rest of the file
};

struct OnnxOutline {
  std::vector<OutlineNode> nodes;        // in the file's order
  std::vector<ExternalTensor> external;  // initializers first, in the file's order
};

// INVALID_ARGUMENT when the file is no ONNX model, or has more than 100,000 nodes; it checks nothing else.
absl::StatusOr<OnnxOutline> ReadOnnxOutline(const std::string& path);

// OK when `outline` has a node called `name`; NOT_FOUND suggests near names.
absl::Status CheckNode(const OnnxOutline& outline, const std::string& name);

// The name of the node at which the last `count` layers with weights begin: the one that partition::FirstOfLastLayers
// finds in the whole model. INVALID_ARGUMENT when there are fewer.
absl::StatusOr<std::string> FirstOfLastLayers(const OnnxOutline& outline, uint64_t count);

}  // namespace shoji::tools
