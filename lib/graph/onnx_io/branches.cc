// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/branches.h"

#include <onnx/onnx_pb.h>

#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/node_scope.h"
#include "lib/graph/onnx_io/onnx_file.h"
#include "lib/graph/onnx_io/tensor_proto.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

constexpr const char* kThen = "then_branch";
constexpr const char* kElse = "else_branch";

// What an If may bring in: counts the nodes of its branches, and of those within.
class BranchCheck {
 public:
  BranchCheck(const ::onnx::NodeProto& node, size_t max_nodes) : label_(NodeLabel(node)), max_nodes_(max_nodes) {}

  absl::Status Visit(const ::onnx::GraphProto& graph) {
    num_nodes_ += static_cast<size_t>(graph.node_size());
    if (num_nodes_ > max_nodes_) {
      return absl::ResourceExhaustedError(label_ + ": its branches have more than " + std::to_string(max_nodes_) +
                                          " nodes, which is the limit");
    }
    for (const ::onnx::TensorProto& initializer : graph.initializer()) {
      RETURN_IF_ERROR(Visit(initializer));
    }
    if (graph.sparse_initializer_size() != 0) {
      return absl::UnimplementedError(label_ + ": sparse initializers are not supported");
    }
    for (const ::onnx::NodeProto& node : graph.node()) {
      for (const ::onnx::AttributeProto& attribute : node.attribute()) {
        RETURN_IF_ERROR(Visit(attribute.t()));
        RETURN_IF_ERROR(attribute.has_g() ? Visit(attribute.g()) : absl::OkStatus());
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Visit(const ::onnx::TensorProto& tensor) const {
    return IsExternal(tensor)
               ? absl::UnimplementedError(label_ +
                                          ": external data inside a branch is not supported; convert the model "
                                          "to one file")
               : absl::OkStatus();
  }

  const std::string label_;
  const size_t max_nodes_;
  size_t num_nodes_ = 0;
};

::onnx::GraphProto* FindBranch(::onnx::NodeProto& node, const std::string& name) {
  for (::onnx::AttributeProto& attribute : *node.mutable_attribute()) {
    if (attribute.name() == name) {
      return attribute.mutable_g();
    }
  }
  return nullptr;
}

// The value of the If's condition.
absl::StatusOr<bool> ConditionOf(const ::onnx::NodeProto& node, GraphBuilder& builder) {
  const KnownValue* condition = node.input_size() == 1 ? builder.Find(node.input(0)) : nullptr;
  if (condition == nullptr) {
    return absl::InvalidArgumentError(NodeLabel(node) + ": it must have one input, its condition");
  }
  if (condition->constant == nullptr) {
    const std::string through = condition->refusal == nullptr ? "" : " (through " + condition->refusal->node + ")";
    return absl::UnimplementedError(NodeLabel(node) + ": its condition " + Quoted(node.input(0)) +
                                    " depends on what the model is given" + through +
                                    "; only an If that constants or shapes decide is supported: export the "
                                    "model by tracing, or with the branch fixed");
  }
  if (condition->type != DataType::kUint8 || condition->constant->num_elements() != 1) {
    return absl::InvalidArgumentError(NodeLabel(node) + ": its condition " + Quoted(node.input(0)) +
                                      " is not one boolean");
  }
  return condition->constant->values<uint8_t>()[0] != 0;
}

// Places one branch. Lives for one call.
class Placer {
 public:
  Placer(const ::onnx::NodeProto& node, const BranchNames* outer, GraphBuilder& builder, const PlaceNode& place)
      : node_(node), names_(outer), builder_(builder), place_(place) {}

  absl::Status Run(::onnx::GraphProto& branch) {
    RETURN_IF_ERROR(NameOutputs(branch));
    for (::onnx::TensorProto& initializer : *branch.mutable_initializer()) {
      RETURN_IF_ERROR(PlaceInitializer(initializer));
    }
    for (std::unique_ptr<::onnx::NodeProto>& node : ExtractNodes(branch)) {
      RETURN_IF_ERROR(Rename(*node));
      RETURN_IF_ERROR(place_(std::move(node), &names_));
    }
    return PlaceOutputs(branch);
  }

 private:
  // The first time that a value is given back, it has the output's name, if the branch itself makes it.
  absl::Status NameOutputs(const ::onnx::GraphProto& branch) {
    if (branch.input_size() != 0 || branch.output_size() != node_.output_size()) {
      return absl::InvalidArgumentError(NodeLabel(node_) + ": each of its branches must have no inputs and " +
                                        std::to_string(node_.output_size()) + " outputs, as it has");
    }
    for (int i = 0; i < branch.output_size(); ++i) {
      if (!node_.output(i).empty()) {
        outputs_.emplace(branch.output(i).name(), node_.output(i));
      }
    }
    return absl::OkStatus();
  }

  std::string PlacedName(const std::string& name) {
    const auto output = outputs_.find(name);
    return output != outputs_.end() ? output->second : builder_.UniqueName(NodeName(node_) + "/" + name);
  }

  absl::Status Define(const std::string& label, const std::string& name, std::string& placed) {
    placed = PlacedName(name);
    RETURN_IF_ERROR(CheckName(placed, NodeLabel(node_) + ": a value of its branch"));
    if (!names_.Define(name, placed)) {
      return absl::InvalidArgumentError(NodeLabel(node_) + ": " + label + " makes " + Quoted(name) +
                                        ", which its branch has already");
    }
    return absl::OkStatus();
  }

  absl::Status PlaceInitializer(::onnx::TensorProto& initializer) {
    const std::string label = "initializer " + Quoted(initializer.name());
    auto constant = std::make_unique<::onnx::NodeProto>();
    constant->set_op_type("Constant");
    RETURN_IF_ERROR(Define(label, initializer.name(), *constant->add_output()));
    ::onnx::AttributeProto& value = *constant->add_attribute();
    value.set_name("value");
    value.set_type(::onnx::AttributeProto::TENSOR);
    value.mutable_t()->Swap(&initializer);
    return place_(std::move(constant), &names_);
  }

  absl::Status Rename(::onnx::NodeProto& node) {
    const std::string label = NodeLabel(node);
    for (std::string& input : *node.mutable_input()) {
      const std::string& outside = names_.Find(input);
      if (!input.empty() && builder_.Find(outside) == nullptr) {
        return absl::InvalidArgumentError(NodeLabel(node_) + ": " + label + " in its branch reads " + Quoted(input) +
                                          ", which nothing before it makes");
      }
      input = outside;
    }
    RETURN_IF_ERROR(CheckName(NodeName(node), NodeLabel(node_) + ": a node of its branch"));
    node.set_name(builder_.UniqueName(NodeName(node_) + "/" + NodeName(node)));
    for (std::string& output : *node.mutable_output()) {
      if (!output.empty()) {
        RETURN_IF_ERROR(Define(label, std::string(output), output));
      }
    }
    return absl::OkStatus();
  }

  // Outputs from outside of the branch, or given back a second time, need a node of their own.
  absl::Status PlaceOutputs(const ::onnx::GraphProto& branch) {
    for (int i = 0; i < branch.output_size(); ++i) {
      const std::string& from = names_.Find(branch.output(i).name());
      if (node_.output(i).empty()) {
        continue;
      }
      if (builder_.Find(from) == nullptr) {
        return absl::InvalidArgumentError(NodeLabel(node_) + ": its branch gives back " +
                                          Quoted(branch.output(i).name()) + ", which nothing makes");
      }
      if (from == node_.output(i)) {
        continue;
      }
      auto identity = std::make_unique<::onnx::NodeProto>();
      identity->set_op_type("Identity");
      identity->set_name(builder_.UniqueName(NodeName(node_) + "/output" + std::to_string(i)));
      identity->add_input(from);
      identity->add_output(node_.output(i));
      RETURN_IF_ERROR(place_(std::move(identity), &names_));
    }
    return absl::OkStatus();
  }

  const ::onnx::NodeProto& node_;
  BranchNames names_;
  GraphBuilder& builder_;
  const PlaceNode& place_;
  std::unordered_map<std::string, std::string> outputs_;  // of the branch, to the If's
};

}  // namespace

bool IsIf(const ::onnx::NodeProto& node) {
  return node.op_type() == "If" && (node.domain().empty() || node.domain() == "ai.onnx");
}

absl::Status CheckBranches(const ::onnx::NodeProto& node, size_t max_nodes) {
  const auto& attributes = node.attribute();
  bool branches = attributes.size() == 2 && attributes[0].name() != attributes[1].name();
  for (const ::onnx::AttributeProto& attribute : attributes) {
    branches = branches && (attribute.name() == kThen || attribute.name() == kElse) && attribute.has_g() &&
               !attribute.has_t() && attribute.ref_attr_name().empty();
  }
  if (!branches) {
    return absl::InvalidArgumentError(NodeLabel(node) +
                                      ": its attributes must be two graphs, `then_branch` and `else_branch`");
  }
  BranchCheck check(node, max_nodes);
  RETURN_IF_ERROR(check.Visit(attributes[0].g()));
  return check.Visit(attributes[1].g());
}

std::vector<std::unique_ptr<::onnx::NodeProto>> ExtractNodes(::onnx::GraphProto& graph) {
  std::vector<::onnx::NodeProto*> nodes(static_cast<size_t>(graph.node_size()));
  graph.mutable_node()->ExtractSubrange(0, graph.node_size(), nodes.data());
  std::vector<std::unique_ptr<::onnx::NodeProto>> owned;
  owned.reserve(nodes.size());
  for (::onnx::NodeProto* node : nodes) {
    owned.emplace_back(node);
  }
  return owned;
}

const std::string& BranchNames::Find(const std::string& name) const {
  for (const BranchNames* scope = this; scope != nullptr; scope = scope->outer_) {
    const auto found = scope->made_.find(name);
    if (found != scope->made_.end()) {
      return found->second;
    }
  }
  return name;
}

absl::Status PlaceBranch(::onnx::NodeProto& node, const BranchNames* names, GraphBuilder& builder,
                         const PlaceNode& place) {
  ASSIGN_OR_RETURN(const bool condition, ConditionOf(node, builder));
  return Placer(node, names, builder, place).Run(*FindBranch(node, condition ? kThen : kElse));
}

}  // namespace shoji::graph::onnx_io
