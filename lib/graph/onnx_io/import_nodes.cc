// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/import_nodes.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/branches.h"
#include "lib/graph/onnx_io/node_scope.h"
#include "lib/graph/onnx_io/normalize.h"
#include "lib/graph/onnx_io/onnx_file.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

// What may decide an If when it is constant. Where the input has a part in it, the node is not refused before something
// needs what it makes: an If then says so itself.
constexpr std::string_view kDecides[] = {"And",  "Cast",        "Equal", "Greater", "GreaterOrEqual",
                                         "Less", "LessOrEqual", "Not",   "Or",      "Xor"};
// What may stand between such a node and the If.
constexpr std::string_view kHandsOn[] = {"Identity",  "ReduceMax", "ReduceMin", "ReduceProd",
                                         "ReduceSum", "Reshape",   "Squeeze",   "Unsqueeze"};

bool IsOneOf(const ::onnx::NodeProto& node, std::span<const std::string_view> op_types) {
  return (node.domain().empty() || node.domain() == "ai.onnx") &&
         std::find(op_types.begin(), op_types.end(), node.op_type()) != op_types.end();
}

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
    for (const KnownValue* input : inputs) {
      if (input != nullptr && input->refusal != nullptr) {
        return IsOneOf(node, kDecides) || IsOneOf(node, kHandsOn) ? Refuse(node, input->refusal)
                                                                  : input->refusal->status;
      }
    }
    const bool computed = std::any_of(inputs.begin(), inputs.end(), [](const KnownValue* input) {
      return input != nullptr && input->constant == nullptr;
    });
    NodeScope scope(node, opset_, std::move(inputs), builder_);
    const absl::Status status = Normalize(scope);
    return computed && absl::IsUnimplemented(status) && IsOneOf(node, kDecides)
               ? Refuse(node, std::make_shared<const Refusal>(Refusal{NodeLabel(node), status}))
               : status;
  }

  // Whoever reads what `node` makes is refused, not `node` itself.
  absl::Status Refuse(const ::onnx::NodeProto& node, const std::shared_ptr<const Refusal>& refusal) {
    for (const std::string& output : node.output()) {
      if (!output.empty()) {
        builder_.AddRefused(output, refusal);
      }
    }
    builder_.AddFoldedNode(NodeName(node));
    return absl::OkStatus();
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
