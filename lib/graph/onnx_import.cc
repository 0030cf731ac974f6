// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_import.h"

#include <onnx/onnx_pb.h>

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/builder.h"
#include "lib/graph/onnx_io/node_scope.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/onnx_file.h"
#include "lib/graph/onnx_io/tensor_proto.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph {
namespace {

using onnx_io::GraphBuilder;
using onnx_io::KnownValue;
using onnx_io::NodeScope;

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
    builder.AddConstant(initializer.name(), onnx_io::ToTensor(initializer));
  }
  for (const ::onnx::ValueInfoProto& input : graph.input()) {
    if (builder.Find(input.name()) != nullptr) {
      continue;  // an initializer
    }
    std::vector<int64_t> dims;
    for (const auto& dim : input.type().tensor_type().shape().dim()) {
      dims.push_back(dim.has_dim_value() ? dim.dim_value() : 1);
    }
    absl::StatusOr<Shape> shape = Shape::Create(std::move(dims));
    if (!shape.ok()) {
      return absl::InvalidArgumentError("input " + onnx_io::Quoted(input.name()) + ": " +
                                        std::string(shape.status().message()));
    }
    RETURN_IF_ERROR(builder.AddInput(input.name(), *std::move(shape)));
  }
  return absl::OkStatus();
}

absl::Status AddNode(const ::onnx::NodeProto& node, int64_t opset, GraphBuilder& builder) {
  std::vector<KnownValue*> inputs;
  for (const std::string& name : node.input()) {
    inputs.push_back(name.empty() ? nullptr : builder.Find(name));
    if (!name.empty() && inputs.back() == nullptr) {
      // CheckStructure saw it defined, so it is an output that its node's normalizer leaves out.
      return absl::UnimplementedError(onnx_io::NodeLabel(node) + ": reads " + onnx_io::Quoted(name) +
                                      ", an optional output that is not supported");
    }
  }
  NodeScope scope(node, opset, std::move(inputs), builder);
  return onnx_io::FindNormalizer(node.op_type())(scope);
}

absl::Status ParseAndCheck(ByteSpan model, const ImportOptions& options, ::onnx::ModelProto& proto) {
  RETURN_IF_ERROR(onnx_io::ParseModel(model, proto));
  RETURN_IF_ERROR(onnx_io::CheckStructure(proto, options));
  proto.clear_training_info();
  return onnx_io::RunChecker(proto);
}

}  // namespace

absl::StatusOr<Graph> ImportOnnx(ByteSpan model, const ImportOptions& options) {
  ::onnx::ModelProto proto;
  RETURN_IF_ERROR(ParseAndCheck(model, options, proto));
  const ::onnx::GraphProto& graph_proto = proto.graph();
  GraphBuilder builder({options.max_tensor_bytes, kFoldedBytesBase + kFoldedBytesPerFileByte * model.size()},
                       AllNames(graph_proto), OutputNames(graph_proto));
  RETURN_IF_ERROR(AddInputs(graph_proto, builder));
  for (const ::onnx::NodeProto& node : graph_proto.node()) {
    RETURN_IF_ERROR(AddNode(node, onnx_io::OpsetOf(proto), builder));
  }
  ASSIGN_OR_RETURN(Graph graph, builder.Finish(graph_proto.name()));
  RETURN_IF_ERROR(onnx_io::CrossCheckShapes(proto, graph));
  return graph;
}

}  // namespace shoji::graph
