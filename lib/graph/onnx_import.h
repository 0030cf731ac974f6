// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/byte_source.h"
#include "lib/base/bytes.h"
#include "lib/digest/sha2.h"
#include "lib/graph/graph.h"
#include "lib/tensor/shape.h"

namespace shoji::graph {

// What somebody says of the shape of a model's one input: with its batch, which is 1, or without.
struct StatedInputShape {
  Shape shape;
  std::string by;  // for messages, which go on with the shape: "--input-shape states"
};

struct ImportOptions {
  // Whether an input of rank 4 may have a fixed first extent above 1: a cut of a graph may, a model that is served may
  // not, because it is given one picture at a time.
  enum class Batch : uint8_t { kAny, kOne };
  Batch batch = Batch::kAny;
  size_t max_nodes = 20000;
  size_t max_values = 100000;                   // inputs, initializers and outputs, each
  int64_t max_tensor_bytes = int64_t{1} << 31;  // of any one value, constants included
  // Opens the files that hold tensors outside the ONNX file, by the names that it gives them; null: there may be none.
  // What they may hold in all.
  std::function<absl::StatusOr<std::unique_ptr<PositionedSource>>(const std::string& name)> external_data = nullptr;
  uint64_t max_external_bytes = uint64_t{8} << 30;
  // Stands for the dimensions of the input that the file leaves dynamic; those that it fixes must agree, and
  // there must be one input alone.
  std::optional<StatedInputShape> input_shape = std::nullopt;
  // What the user can do about dimensions that are dynamic and not stated; ends the message that refuses them.
  std::string how_to_fix_shape = "export the model with a fixed input shape";
};

struct ImportedModel {
  Graph graph;
  // Of every byte that the graph was made from, as it was read; docs/protocol.md defines it. For a model in one file
  // that file's SHA-256.
  digest::Sha256Digest digest = {};
};

// Reads a serialized ONNX ModelProto (opset 7 to 21, IR 3 to 11) from front to back, each byte once, the values of
// large tensors straight to where they stay. In this order: the wire format, protobuf, our own limits on counts, sizes
// and names, external data, libonnx's checker, normalization into Graph with a shape rule of our own per operator, and
// last libonnx's shape inference, which must agree: it meets only files that all the others accepted. A file newer than
// libonnx passes without its two steps; a note of the graph says so. A dynamic batch dimension (0 and -1 too) becomes
// 1, and the others what `options` states; initializers that are also listed as inputs are constants. Constant
// sub-graphs are folded (at most 64 MiB and four times the file), functions and the branch that an If takes put in
// their place, Identity and inference-time Dropout removed unless they make an output, nodes that no output depends on
// dropped; BatchNormalization and every other computing node stays, so that a policy may cut there. What stays is
// float32, where the file says float16, bfloat16 or double too. The model may come from an adversary: errors are
// INVALID_ARGUMENT (malformed; names the node or value), UNIMPLEMENTED (an operator, attribute form, type or version
// that is not supported; names node and operator), RESOURCE_EXHAUSTED (over the limits); others name a file that cannot
// be read. Never throws.
absl::StatusOr<ImportedModel> ImportModel(ByteSource& file, const ImportOptions& options = {});

// The same without its digest.
absl::StatusOr<Graph> ImportOnnx(ByteSource& file, const ImportOptions& options = {});
absl::StatusOr<Graph> ImportOnnx(ByteSpan model, const ImportOptions& options = {});

}  // namespace shoji::graph
