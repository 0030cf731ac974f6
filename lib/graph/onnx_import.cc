// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_import.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/builder.h"
#include "lib/graph/onnx_io/external_data.h"
#include "lib/graph/onnx_io/functions.h"
#include "lib/graph/onnx_io/import_nodes.h"
#include "lib/graph/onnx_io/input_shape.h"
#include "lib/graph/onnx_io/node_scope.h"
#include "lib/graph/onnx_io/onnx_file.h"
#include "lib/graph/onnx_io/tensor_proto.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph {
namespace {

using onnx_io::GraphBuilder;
using onnx_io::LargeTensors;

constexpr uint64_t kFoldedBytesBase = uint64_t{64} << 20;
constexpr uint64_t kFoldedBytesPerFileByte = 4;

std::unordered_set<std::string> AllNames(const ::onnx::GraphProto& graph) {
  std::unordered_set<std::string> names;
  for (const auto& input : graph.input()) {
    names.insert(input.name());
  }
  for (const auto& initializer : graph.initializer()) {
    names.insert(initializer.name());
  }
  for (const auto& node : graph.node()) {
    names.insert(onnx_io::NodeName(node));
    names.insert(node.output().begin(), node.output().end());
  }
  return names;
}

std::vector<std::string> OutputNames(const ::onnx::GraphProto& graph) {
  std::vector<std::string> names;
  for (const auto& output : graph.output()) {
    names.push_back(output.name());
  }
  return names;
}

absl::Status AddInputs(const ::onnx::GraphProto& graph, GraphBuilder& builder) {
  for (const ::onnx::TensorProto& initializer : graph.initializer()) {
    builder.AddConstant(initializer.name(), onnx_io::TakeTensor(initializer, builder.large_tensors()));
  }
  for (const ::onnx::ValueInfoProto& input : graph.input()) {
    if (builder.Find(input.name()) != nullptr) {
      continue;  // an initializer
    }
    std::vector<int64_t> dims;
    for (const auto& dim : input.type().tensor_type().shape().dim()) {
      dims.push_back(std::max<int64_t>(1, dim.dim_value()));
    }
    absl::StatusOr<Shape> shape = Shape::Create(std::move(dims));
    if (!shape.ok()) {
      return absl::InvalidArgumentError("input " + onnx_io::Quoted(input.name()) + ": " +
                                        std::string(shape.status().message()));
    }
    RETURN_IF_ERROR(builder.AddInput(input.name(), *std::move(shape)));
    if (const int32_t type = input.type().tensor_type().elem_type(); onnx_io::IsQuantizedType(type)) {
      const bool is_signed = type == ::onnx::TensorProto::INT8;
      const FakeQuantizeAttributes whole_numbers = {1, 0, is_signed ? -128 : 0, is_signed ? 127 : 255};
      builder.AddQuantized(input.name(), {whole_numbers, nullptr, builder.Find(input.name())});
    }
  }
  return absl::OkStatus();
}

// The digest of a model in several files, whose first has `file_digest`, begins with this.
void BeginDigestOfFiles(const digest::Sha256Digest& file_digest, digest::Sha256Stream& digest) {
  digest.Update(AsBytes("shoji model with external data v1"));
  digest.Update(file_digest);
}

// What is kept of a file beside its proto.
struct FileRest {
  LargeTensors large;
  std::vector<onnx_io::InlinedCall> calls;
};

uint64_t MaxFoldedBytes(const ByteSource& file) { return kFoldedBytesBase + kFoldedBytesPerFileByte * file.size(); }

// Whether any of `model` lies in external files decides what its digest is; null: nobody asks for it.
absl::Status ReadAndCheck(ByteSource& file, const ImportOptions& options, ::onnx::ModelProto& proto, FileRest& rest,
                          digest::Sha256Digest* digest) {
  digest::Sha256Stream of_file;
  ASSIGN_OR_RETURN(onnx_io::FileParts parts,
                   onnx_io::ReadModel(file, digest == nullptr ? nullptr : &of_file, options, proto));
  if (proto.functions_size() != 0 && parts.num_nodes <= options.max_nodes) {
    ASSIGN_OR_RETURN(rest.calls,
                     onnx_io::InlineFunctions(proto, parts.large, {options.max_nodes, MaxFoldedBytes(file)}));
    parts.num_nodes = static_cast<size_t>(proto.graph().node_size());
  }
  onnx_io::NameRuntimeOperators(proto);
  RETURN_IF_ERROR(onnx_io::CheckStructure(proto, parts, options));
  RETURN_IF_ERROR(onnx_io::BindInputShape(options, proto));
  digest::Sha256Stream of_files;
  if (digest != nullptr) {
    *digest = of_file.Finish();
    BeginDigestOfFiles(*digest, of_files);
  }
  ASSIGN_OR_RETURN(const size_t num_external,
                   onnx_io::ReadExternalData(proto, options, parts.large, digest == nullptr ? nullptr : &of_files));
  if (digest != nullptr && num_external > 0) {
    *digest = of_files.Finish();
  }
  if (onnx_io::LibraryKnows(proto)) {
    RETURN_IF_ERROR(onnx_io::RunChecker(proto, parts.large));
  }
  rest.large = std::move(parts.large);
  return absl::OkStatus();
}

absl::StatusOr<Graph> Import(ByteSource& file, const ImportOptions& options, digest::Sha256Digest* digest) {
  ::onnx::ModelProto proto;
  FileRest rest;
  RETURN_IF_ERROR(ReadAndCheck(file, options, proto, rest, digest));
  const ::onnx::GraphProto& graph_proto = proto.graph();
  GraphBuilder builder({options.max_tensor_bytes, MaxFoldedBytes(file)}, AllNames(graph_proto),
                       OutputNames(graph_proto), std::move(rest.large));
  RETURN_IF_ERROR(AddInputs(graph_proto, builder));
  RETURN_IF_ERROR(onnx_io::ImportNodes(proto, options, rest.calls, builder));
  ASSIGN_OR_RETURN(Graph graph, builder.Finish(graph_proto.name()));
  if (!onnx_io::LibraryKnows(proto)) {
    graph.notes.push_back(onnx_io::NewerThanLibrary(proto));
  } else if (!builder.skips_shape_inference()) {
    RETURN_IF_ERROR(onnx_io::CrossCheckShapes(proto, graph));
  }
  return graph;
}

}  // namespace

absl::StatusOr<ImportedModel> ImportModel(ByteSource& file, const ImportOptions& options) {
  ImportedModel model;
  ASSIGN_OR_RETURN(model.graph, Import(file, options, &model.digest));
  return model;
}

absl::StatusOr<Graph> ImportOnnx(ByteSource& file, const ImportOptions& options) {
  return Import(file, options, nullptr);
}

absl::StatusOr<Graph> ImportOnnx(ByteSpan model, const ImportOptions& options) {
  SpanSource file(model);
  return ImportOnnx(file, options);
}

}  // namespace shoji::graph
