// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/serialize.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <utility>

#include "lib/base/pages.h"

namespace shoji::graph::onnx_io {
namespace {

// Field numbers of onnx.proto.
constexpr uint32_t kGraphOfModel = 7;
constexpr uint32_t kInitializerOfGraph = 5;
constexpr uint32_t kRawDataOfTensor = 9;

std::string Varint(size_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) {
    out += static_cast<char>(value | 0x80);
  }
  return out + static_cast<char>(value);
}

// What stands before the `length` bytes of a length-delimited field.
std::string FieldStart(uint32_t field, size_t length) { return Varint(size_t{field} << 3 | 2) + Varint(length); }

// An initializer up to its data, as a field of the graph.
std::string StartOf(const SplitInitializer& initializer) {
  const std::string data_start = FieldStart(kRawDataOfTensor, initializer.values->size_bytes());
  const size_t length = initializer.header.size() + data_start.size() + initializer.values->size_bytes();
  return FieldStart(kInitializerOfGraph, length) + initializer.header + data_start;
}

// Piece by piece, so that no large tensor is there twice.
// NOLINTNEXTLINE(performance-unnecessary-value-param): it counts the references, and holds one of them
void AppendValues(Bytes& out, std::shared_ptr<const Tensor> values) {
  constexpr size_t kPiece = size_t{4} << 20;
  // Never another's: whoever holds the last reference may do with it what it likes.
  const auto own = values.use_count() == 1 ? std::const_pointer_cast<Tensor>(values) : nullptr;
  const ByteSpan bytes = values->bytes();
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const size_t size = std::min(kPiece, bytes.size() - at);
    Append(out, bytes.subspan(at, size));
    if (own != nullptr) {
      DropPages(own->mutable_bytes().subspan(at, size));
    }
  }
}

}  // namespace

absl::StatusOr<Bytes> Serialize(::onnx::ModelProto model, std::vector<SplitInitializer> initializers) {
  const std::string graph = model.graph().SerializeAsString();
  model.clear_graph();
  const std::string rest = model.SerializeAsString();
  size_t graph_bytes = graph.size();
  for (const SplitInitializer& initializer : initializers) {
    graph_bytes += StartOf(initializer).size() + initializer.values->size_bytes();
  }
  const std::string graph_start = FieldStart(kGraphOfModel, graph_bytes);
  const size_t size = rest.size() + graph_start.size() + graph_bytes;
  if (size > static_cast<size_t>(INT_MAX)) {
    return absl::ResourceExhaustedError("a sub-model of " + std::to_string(size) +
                                        " bytes exceeds 2 GiB, the limit of an ONNX file");
  }
  Bytes out;
  out.reserve(size);
  for (const std::string* part : {&rest, &graph_start, &graph}) {
    Append(out, *part);
  }
  for (SplitInitializer& initializer : initializers) {
    Append(out, StartOf(initializer));
    AppendValues(out, std::move(initializer.values));
  }
  return out;
}

}  // namespace shoji::graph::onnx_io
