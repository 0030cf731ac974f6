// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The steps of import that libonnx and protobuf take part in; the only code that lets their exceptions be thrown.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/byte_source.h"
#include "lib/digest/sha2.h"
#include "lib/graph/graph.h"
#include "lib/graph/onnx_import.h"
#include "lib/graph/onnx_io/large_tensors.h"

namespace onnx {
class ModelProto;
class NodeProto;
}  // namespace onnx

namespace shoji::graph::onnx_io {

// What stands beside a parsed ModelProto.
struct FileParts {
  LargeTensors large;    // of the graph's initializers and its nodes' attributes
  size_t num_nodes = 0;  // of the file; the proto has at most one more than is allowed
};

// Reads `file` into `model`, each byte once and through `digest`, if given: INVALID_ARGUMENT when it is no ModelProto.
absl::StatusOr<FileParts> ReadModel(ByteSource& file, digest::Sha256Stream* digest, const ImportOptions& options,
                                    ::onnx::ModelProto& model);

// onnxruntime writes the LayerNormalization that it fuses into the default domain, also in files of operator sets that
// have none (before 17), and one without a mean (SimplifiedLayerNormalization), which none has: such nodes are given to
// its own domain, which they are of.
void NameRuntimeOperators(::onnx::ModelProto& model);

// Our own limits on a parsed file, checked before libonnx or any operator's code sees it: versions, counts, tensor
// sizes, operators and attribute kinds known, names defined once and before they are read, types and extents of the
// inputs.
absl::Status CheckStructure(const ::onnx::ModelProto& model, const FileParts& parts, const ImportOptions& options);

// The parts of it that concern one node, and one name of it, called `what` in the message.
absl::Status CheckNode(const ::onnx::NodeProto& node, const LargeTensors& large, const ImportOptions& options);
absl::Status CheckName(const std::string& name, const std::string& what);

// Whether the installed libonnx knows the operator set of `model`, and a line for the operator when it does not.
bool LibraryKnows(const ::onnx::ModelProto& model);
std::string NewerThanLibrary(const ::onnx::ModelProto& model);

// libonnx's checker. It looks at how a tensor is stored, not at what it holds: those in `large` get a stand-in first.
// It refuses every newer IR, though what import lets through means the same in all: the IR is lowered to the newest it
// knows.
absl::Status RunChecker(::onnx::ModelProto& model, const LargeTensors& large);

// Runs libonnx's shape inference over `model`, which `graph` was made from, and compares: INVALID_ARGUMENT names a
// value whose inferred shape is not the one in `graph`. Drops the shapes that `model` declares.
absl::Status CrossCheckShapes(::onnx::ModelProto& model, const Graph& graph);

// The version of the default operator set that `model` imports; 0: none.
int64_t OpsetOf(const ::onnx::ModelProto& model);

}  // namespace shoji::graph::onnx_io
