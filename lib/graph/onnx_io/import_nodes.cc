// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/import_nodes.h"

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/branches.h"
#include "lib/graph/onnx_io/node_scope.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/onnx_file.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

// Lives for one call of ImportNodes.
class NodeImporter {
 public:
  NodeImporter(::onnx::ModelProto& model, const ImportOptions& options, GraphBuilder& builder)
      : graph_(*model.mutable_graph()), opset_(OpsetOf(model)), options_(options), builder_(builder) {}

  absl::Status Run(const std::vector<InlinedCall>& calls) {
    std::vector<size_t> places;  // of each of the file's nodes, and of what would come next
    for (std::unique_ptr<::onnx::NodeProto>& node : ExtractNodes(graph_)) {
      places.push_back(builder_.num_nodes());
      RETURN_IF_ERROR(Place(std::move(node), nullptr));
    }
    places.push_back(builder_.num_nodes());
    for (const InlinedCall& call : calls) {
      builder_.AddReplacedNode(call.name, places[call.first], places[call.end]);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Place(std::unique_ptr<::onnx::NodeProto> node, const BranchNames* names) {
    if (IsIf(*node)) {
      return PlaceIf(*node, names);
    }
    RETURN_IF_ERROR(Add(*node));
    graph_.mutable_node()->AddAllocated(node.release());
    return absl::OkStatus();
  }

  absl::Status PlaceIf(::onnx::NodeProto& node, const BranchNames* names) {
    const size_t first = builder_.num_nodes();
    const PlaceNode place = [this](std::unique_ptr<::onnx::NodeProto> taken, const BranchNames* inside) {
      const absl::Status checked = CheckNode(*taken, builder_.large_tensors(), options_);
      return checked.ok() ? Place(std::move(taken), inside) : checked;
    };
    RETURN_IF_ERROR(PlaceBranch(node, names, builder_, place));
    builder_.AddReplacedNode(NodeName(node), first, builder_.num_nodes());
    return absl::OkStatus();
  }

  absl::Status Add(const ::onnx::NodeProto& node) {
    if (static_cast<size_t>(graph_.node_size()) >= options_.max_nodes) {
      return absl::ResourceExhaustedError(NodeLabel(node) +
                                          ": with the branches of each If in its place the graph has " + "more than " +
                                          std::to_string(options_.max_nodes) + " nodes, which is the limit");
    }
    std::vector<KnownValue*> inputs;
    for (const std::string& name : node.input()) {
      inputs.push_back(name.empty() ? nullptr : builder_.Find(name));
      if (!name.empty() && inputs.back() == nullptr) {
        // CheckStructure saw it defined, so it is an output that its node's normalizer leaves out.
        return absl::UnimplementedError(NodeLabel(node) + ": reads " + Quoted(name) +
                                        ", an optional output that is not supported");
      }
    }
    NodeScope scope(node, opset_, std::move(inputs), builder_);
    return Normalize(scope);
  }

  ::onnx::GraphProto& graph_;
  const int64_t opset_;
  const ImportOptions& options_;
  GraphBuilder& builder_;
};

}  // namespace

absl::Status ImportNodes(::onnx::ModelProto& model, const ImportOptions& options, const std::vector<InlinedCall>& calls,
                         GraphBuilder& builder) {
  return NodeImporter(model, options, builder).Run(calls);
}

}  // namespace shoji::graph::onnx_io
