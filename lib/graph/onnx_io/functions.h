// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/graph/onnx_io/large_tensors.h"

namespace onnx {
class ModelProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// What may come of the functions of a file, which a small one can make very large.
struct InlineLimits {
  size_t max_nodes = 0;    // of the graph without functions; as many calls, nested ones included
  uint64_t max_bytes = 0;  // of memory for all the copies of functions' nodes
};

// A node of the file's graph that called a function: the nodes [first, end) of the graph stand for it now.
struct InlinedCall {
  std::string name;
  size_t first = 0;
  size_t end = 0;
};

// Replaces every node of `model` that calls one of the model's own functions by the function's nodes, nested calls and
// those in subgraphs included, and drops the functions. A node made so is called "<name of the call>/<its own name>",
// or its first output's where it has none; a value of the function "<name of the call>/<its name>"; what a function
// takes and gives are the call's own values. Attributes that refer to one of the function's take its value at the call,
// or its default, or are left out. Errors name the function: INVALID_ARGUMENT (calls itself, writes to its input, takes
// fewer values than a call gives), UNIMPLEMENTED (written for another operator set than the model, external data),
// RESOURCE_EXHAUSTED (over `limits`). What the functions' nodes are is not looked at: CheckStructure does so
// afterwards.
absl::StatusOr<std::vector<InlinedCall>> InlineFunctions(::onnx::ModelProto& model, LargeTensors& large,
                                                         const InlineLimits& limits);

}  // namespace shoji::graph::onnx_io
