// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// CheckStructure: what must hold before any other code looks at a parsed file.

#include <onnx/onnx_pb.h>

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/branches.h"
#include "lib/graph/onnx_io/node_scope.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/onnx_file.h"
#include "lib/graph/onnx_io/tensor_proto.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

constexpr int64_t kMinOpset = 7;
constexpr int64_t kMaxOpset = 21;
constexpr int64_t kMinIrVersion = 3;
constexpr int64_t kMaxIrVersion = 11;
// Of attributes, inputs and outputs of one node; of initializers and inputs of a graph per node allowed.
constexpr int kMaxPerNode = 1024;
constexpr size_t kMaxNameLength = 1024;

absl::Status CheckVersions(const ::onnx::ModelProto& model) {
  if (model.ir_version() < kMinIrVersion || model.ir_version() > kMaxIrVersion) {
    return absl::UnimplementedError("ONNX IR version " + std::to_string(model.ir_version()) +
                                    " is not supported; 3 to 11 are");
  }
  const int64_t opset = OpsetOf(model);
  if (opset < kMinOpset || opset > kMaxOpset) {
    return absl::UnimplementedError("ONNX operator set " + std::to_string(opset) +
                                    " is not supported; 7 to 21 are: export or convert the model to one of them");
  }
  return absl::OkStatus();
}

absl::Status CheckAttributes(const ::onnx::NodeProto& node, const std::string& where, const LargeTensors& large,
                             const ImportOptions& options) {
  std::unordered_set<std::string> names;
  for (const ::onnx::AttributeProto& attribute : node.attribute()) {
    const std::string name = where + ", attribute " + Quoted(attribute.name());
    if (!names.insert(attribute.name()).second) {
      return absl::InvalidArgumentError(name + ": given twice");
    }
    if (attribute.has_g() || attribute.graphs_size() != 0 || attribute.has_sparse_tensor() ||
        attribute.sparse_tensors_size() != 0 || attribute.has_tp() || attribute.type_protos_size() != 0 ||
        attribute.tensors_size() != 0 || !attribute.ref_attr_name().empty()) {
      return absl::UnimplementedError(name + ": an attribute of this kind is not supported");
    }
    if (attribute.has_t()) {
      RETURN_IF_ERROR(CheckTensorProto(attribute.t(), large, name, options));
    }
  }
  return absl::OkStatus();
}

// What the model's owner can do about an operator that is not supported; empty: nothing in particular.
std::string AdviceFor(const ::onnx::NodeProto& node) {
  const std::string& op = node.op_type();
  if (node.domain() == "com.microsoft.nchwc") {
    return "; onnxruntime saved the model for machines of one kind: save it with its extended optimizations at most "
           "(ORT_ENABLE_EXTENDED), or give the file that it was made from";
  }
  if (!node.domain().empty() && node.domain() != "ai.onnx") {
    return "";
  }
  if (op == "ArgMax" || op == "ArgMin" || op == "TopK") {
    return "; export the model with its scores as output: clients take the best of them";
  }
  if (op == "Resize" || op == "Upsample") {
    return "; leave resizing pictures to the model's preprocessing";
  }
  if (op == "Loop" || op == "Scan" || op == "SequenceMap" || op.rfind("Optional", 0) == 0) {
    return "; export the model by tracing, with a fixed input shape";
  }
  return "";
}

// The names of a graph: each value is defined once, and before it is read.
class NameCheck {
 public:
  absl::Status DefineConstants(const ::onnx::GraphProto& graph, const LargeTensors& large,
                               const ImportOptions& options) {
    for (const ::onnx::TensorProto& initializer : graph.initializer()) {
      RETURN_IF_ERROR(CheckName(initializer.name(), "an initializer"));
      const std::string where = "initializer " + Quoted(initializer.name());
      RETURN_IF_ERROR(CheckTensorProto(initializer, large, where, options));
      if (!defined_.insert(initializer.name()).second) {
        return absl::InvalidArgumentError(where + ": defined twice");
      }
    }
    return absl::OkStatus();
  }

  absl::Status DefineInputs(const ::onnx::GraphProto& graph) {
    std::unordered_set<std::string> inputs;
    for (const ::onnx::ValueInfoProto& input : graph.input()) {
      RETURN_IF_ERROR(CheckName(input.name(), "an input"));
      if (!inputs.insert(input.name()).second) {
        return absl::InvalidArgumentError("input " + Quoted(input.name()) + ": defined twice");
      }
      defined_.insert(input.name());
    }
    return absl::OkStatus();
  }

  absl::Status DefineNodes(const ::onnx::GraphProto& graph) {
    std::unordered_map<std::string, const ::onnx::NodeProto*> makers;
    for (const ::onnx::NodeProto& node : graph.node()) {
      for (const std::string& output : node.output()) {
        makers.emplace(output, &node);
      }
    }
    for (const ::onnx::NodeProto& node : graph.node()) {
      for (const std::string& input : node.input()) {
        if (!input.empty() && !defined_.contains(input)) {
          const auto later = makers.find(input);
          return absl::InvalidArgumentError(NodeLabel(node) + ": reads " + Quoted(input) +
                                            (later == makers.end()
                                                 ? ", which nothing in the graph makes"
                                                 : ", which " + NodeLabel(*later->second) +
                                                       " makes later: the nodes form a cycle or are out of order"));
        }
      }
      RETURN_IF_ERROR(DefineOutputs(node));
    }
    return absl::OkStatus();
  }

  absl::Status CheckOutputs(const ::onnx::GraphProto& graph) const {
    std::unordered_set<std::string> outputs;
    for (const ::onnx::ValueInfoProto& output : graph.output()) {
      if (!defined_.contains(output.name())) {
        return absl::InvalidArgumentError("output " + Quoted(output.name()) + ": nothing in the graph makes it");
      }
      if (!outputs.insert(output.name()).second) {
        return absl::InvalidArgumentError("output " + Quoted(output.name()) + ": listed twice");
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status DefineOutputs(const ::onnx::NodeProto& node) {
    if (!node_names_.insert(NodeName(node)).second) {
      return absl::InvalidArgumentError(NodeLabel(node) + ": two nodes have this name");
    }
    for (const std::string& output : node.output()) {
      if (output.empty()) {
        continue;
      }
      RETURN_IF_ERROR(CheckName(output, "a value"));
      if (!defined_.insert(output).second) {
        return absl::InvalidArgumentError(NodeLabel(node) + ": makes " + Quoted(output) + ", which is defined already");
      }
    }
    return absl::OkStatus();
  }

  std::unordered_set<std::string> defined_;
  std::unordered_set<std::string> node_names_;
};

absl::Status CheckNames(const ::onnx::GraphProto& graph, const LargeTensors& large, const ImportOptions& options) {
  NameCheck names;
  RETURN_IF_ERROR(names.DefineConstants(graph, large, options));
  RETURN_IF_ERROR(names.DefineInputs(graph));
  RETURN_IF_ERROR(names.DefineNodes(graph));
  return names.CheckOutputs(graph);
}

absl::Status CheckBatch(const std::string& where, const ::onnx::TensorShapeProto& shape) {
  constexpr int kImageRank = 4;
  if (shape.dim_size() == kImageRank && shape.dim(0).dim_value() > 1) {
    return absl::UnimplementedError(where + ": the batch is fixed to " + std::to_string(shape.dim(0).dim_value()) +
                                    "; only a batch of 1 or a dynamic one is supported: export the model with either");
  }
  return absl::OkStatus();
}

absl::Status CheckInput(const ::onnx::ValueInfoProto& input, const ImportOptions& options) {
  const std::string where = "input " + Quoted(input.name());
  const int32_t type = input.type().tensor_type().elem_type();
  if (!input.type().has_tensor_type() || !(BecomesFloat32(type) || IsQuantizedType(type))) {
    return absl::UnimplementedError(
        where + ": only tensors of float32, float16, bfloat16, double and 8-bit integers are supported as inputs");
  }
  if (!input.type().tensor_type().has_shape()) {
    return absl::UnimplementedError(where + ": its shape is not stated");
  }
  const auto& dims = input.type().tensor_type().shape().dim();
  for (int i = 0; i < dims.size(); ++i) {
    // Some exporters write a dynamic extent as -1, that of a batch also as 0.
    if (dims[i].has_dim_value() && (dims[i].dim_value() < -1 || (i != 0 && dims[i].dim_value() == 0))) {
      return absl::InvalidArgumentError(where + ": extent " + std::to_string(dims[i].dim_value()) + " of dimension " +
                                        std::to_string(i) + " is not positive");
    }
  }
  return options.batch == ImportOptions::Batch::kOne ? CheckBatch(where, input.type().tensor_type().shape())
                                                     : absl::OkStatus();
}

absl::Status CheckInputs(const ::onnx::GraphProto& graph, const ImportOptions& options) {
  std::unordered_set<std::string> constants;
  for (const ::onnx::TensorProto& initializer : graph.initializer()) {
    constants.insert(initializer.name());
  }
  for (const ::onnx::ValueInfoProto& input : graph.input()) {
    if (!constants.contains(input.name())) {
      RETURN_IF_ERROR(CheckInput(input, options));
    }
  }
  for (const ::onnx::ValueInfoProto& output : graph.output()) {
    if (!output.type().has_tensor_type()) {
      return absl::UnimplementedError("output " + Quoted(output.name()) + ": only tensors are supported as outputs");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCount(int count, const std::string& what, size_t limit) {
  if (static_cast<size_t>(count) > limit) {
    return absl::ResourceExhaustedError("the ONNX graph has " + std::to_string(count) + " " + what + "; the limit is " +
                                        std::to_string(limit));
  }
  return absl::OkStatus();
}

absl::Status CheckCounts(const ::onnx::GraphProto& graph, size_t num_nodes, const ImportOptions& options) {
  if (num_nodes > options.max_nodes) {
    return absl::ResourceExhaustedError("the ONNX graph has " + std::to_string(num_nodes) + " nodes; the limit is " +
                                        std::to_string(options.max_nodes) + ", which " +
                                        NodeLabel(graph.node(static_cast<int>(options.max_nodes))) +
                                        " is the first to exceed");
  }
  RETURN_IF_ERROR(CheckCount(graph.input_size(), "inputs", options.max_values));
  RETURN_IF_ERROR(CheckCount(graph.initializer_size(), "initializers", options.max_values));
  return CheckCount(graph.output_size(), "outputs", options.max_values);
}

}  // namespace

absl::Status CheckName(const std::string& name, const std::string& what) {
  if (name.empty()) {
    return absl::InvalidArgumentError(what + " without a name");
  }
  if (name.size() > kMaxNameLength) {
    return absl::ResourceExhaustedError(what + " " + Quoted(name) + ": its name exceeds 1024 bytes");
  }
  return absl::OkStatus();
}

absl::Status CheckNode(const ::onnx::NodeProto& node, const LargeTensors& large, const ImportOptions& options) {
  const std::string where = NodeLabel(node);
  RETURN_IF_ERROR(CheckName(NodeName(node), "a node"));
  if (node.input_size() > kMaxPerNode || node.output_size() > kMaxPerNode || node.attribute_size() > kMaxPerNode) {
    return absl::ResourceExhaustedError(where + ": more than 1024 inputs, outputs or attributes");
  }
  if (node.output_size() == 0 || node.output(0).empty()) {
    return absl::InvalidArgumentError(where + ": makes nothing");
  }
  if (IsIf(node)) {
    return CheckBranches(node, options.max_nodes);
  }
  if (FindNormalizer(node.domain(), node.op_type()) == nullptr) {
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx";
    return absl::UnimplementedError(where + ": the operator " +
                                    (standard ? "" : "of the domain " + Quoted(node.domain()) + " ") +
                                    "is not supported" + AdviceFor(node));
  }
  return CheckAttributes(node, where, large, options);
}

absl::Status CheckStructure(const ::onnx::ModelProto& model, const FileParts& parts, const ImportOptions& options) {
  RETURN_IF_ERROR(CheckVersions(model));
  const ::onnx::GraphProto& graph = model.graph();
  if (graph.node_size() == 0 || graph.output_size() == 0) {
    return absl::InvalidArgumentError("the ONNX graph has no nodes or no outputs");
  }
  RETURN_IF_ERROR(CheckCounts(graph, parts.num_nodes, options));
  if (graph.sparse_initializer_size() != 0) {
    return absl::UnimplementedError("initializer " + Quoted(graph.sparse_initializer(0).values().name()) +
                                    ": sparse initializers are not supported");
  }
  for (const ::onnx::NodeProto& node : graph.node()) {
    RETURN_IF_ERROR(CheckNode(node, parts.large, options));
  }
  RETURN_IF_ERROR(CheckNames(graph, parts.large, options));
  return CheckInputs(graph, options);
}

}  // namespace shoji::graph::onnx_io
