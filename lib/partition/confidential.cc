// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/confidential.h"

#include <algorithm>
#include <map>
#include <set>

#include "lib/base/near_match.h"
#include "lib/base/status_macros.h"
#include "lib/digest/sha2.h"

namespace shoji::partition {
namespace {

using graph::Graph;
using graph::Node;
using graph::ValueId;

const Tensor* ConstantOf(const Graph& graph, ValueId id) {
  return id == graph::kNoValue ? nullptr : graph.values[id].constant.get();
}

bool HasConstants(const Graph& graph, const Node& node) {
  return std::any_of(node.inputs.begin(), node.inputs.end(),
                     [&](ValueId id) { return ConstantOf(graph, id) != nullptr; });
}

bool IsLinear(const Node& node) {
  return node.op == graph::Op::kConv || node.op == graph::Op::kGemm || node.op == graph::Op::kMatMul;
}

const std::string& FileNameOf(const Node& node) { return node.step_of.empty() ? node.name : node.step_of; }

std::string LabelOf(const ResolvedPlan& plan, size_t index) {
  return "segment " + std::to_string(index + 1) + " (from `" + plan.segments[index].first_node_name + "`)";
}

// The weights of confidential segments, and the node that reads each.
std::map<const Tensor*, const Node*> ConfidentialWeights(const Graph& graph, const ResolvedPlan& plan) {
  std::map<const Tensor*, const Node*> weights;
  for (const Segment& segment : plan.segments) {
    for (size_t i = segment.first_node; segment.confidential && i < segment.end_node; ++i) {
      for (const ValueId id : graph.nodes[i].inputs) {
        const Tensor* const constant = ConstantOf(graph, id);
        if (constant != nullptr && constant->num_elements() > 1) {
          weights.emplace(constant, &graph.nodes[i]);
        }
      }
    }
  }
  return weights;
}

absl::Status CheckNotShared(const Graph& graph, const ResolvedPlan& plan) {
  const std::map<const Tensor*, const Node*> weights = ConfidentialWeights(graph, plan);
  for (size_t index = 0; index < plan.segments.size() && !weights.empty(); ++index) {
    const Segment& segment = plan.segments[index];
    for (size_t i = segment.first_node; segment.place != Placement::kEnclave && i < segment.end_node; ++i) {
      for (const ValueId id : graph.nodes[i].inputs) {
        const auto found = weights.find(ConstantOf(graph, id));
        if (found != weights.end()) {
          return absl::InvalidArgumentError(LabelOf(plan, index) + ": its node `" + graph.nodes[i].name + "` reads `" +
                                            graph.values[id].name + "`, which the confidential node `" +
                                            found->second->name + "` reads too: it would leave the enclave");
        }
      }
    }
  }
  return absl::OkStatus();
}

// Whether, from a tensor that `segment` takes, constants are met before a linear layer is: a pass could fold them into
// the layer that makes the tensor.
bool MeetsConstantsAtStart(const Graph& graph, const Segment& segment) {
  std::set<ValueId> reached;
  for (size_t i = segment.first_node; i < segment.end_node; ++i) {
    const Node& node = graph.nodes[i];
    const bool from_outside = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
      return id != graph::kNoValue &&
             (reached.contains(id) || std::any_of(segment.inputs.begin(), segment.inputs.end(), [&](const auto& input) {
                return input.name == graph.values[id].name;
              }));
    });
    if (!from_outside || IsLinear(node)) {
      continue;
    }
    if (HasConstants(graph, node)) {
      return true;
    }
    reached.insert(node.outputs.begin(), node.outputs.end());
  }
  return false;
}

// The same from behind: into a layer that reads what `segment` makes.
bool MeetsConstantsAtEnd(const Graph& graph, const Segment& segment) {
  std::set<ValueId> reached;
  for (size_t i = segment.end_node; i-- > segment.first_node;) {
    const Node& node = graph.nodes[i];
    const bool leaves = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
      return reached.contains(id) ||
             std::any_of(segment.outputs.begin(), segment.outputs.end(),
                         [&](const auto& output) { return output.name == graph.values[id].name; });
    });
    if (!leaves || IsLinear(node)) {
      continue;
    }
    if (HasConstants(graph, node)) {
      return true;
    }
    reached.insert(node.inputs.begin(), node.inputs.end());
  }
  return false;
}

}  // namespace

absl::Status KeepConfidential(const std::vector<std::string>& nodes, const Graph& graph, ResolvedPlan& plan) {
  std::set<std::string> left(nodes.begin(), nodes.end());
  const std::set<std::string> all = left;
  for (size_t index = 0; index < plan.segments.size(); ++index) {
    Segment& segment = plan.segments[index];
    for (size_t i = segment.first_node; i < segment.end_node; ++i) {
      const std::string& name = FileNameOf(graph.nodes[i]);
      const bool named = all.contains(name) || all.contains(graph.nodes[i].name);
      if (named && segment.place != Placement::kEnclave) {
        return absl::InvalidArgumentError(LabelOf(plan, index) + " is `" + NameOf(segment.place) +
                                          "`, but the model's owner keeps `" + name +
                                          "` confidential: it may only be in the enclave");
      }
      segment.confidential = segment.confidential || named;
      left.erase(name);
      left.erase(graph.nodes[i].name);
    }
  }
  if (!left.empty()) {
    std::vector<std::string> names;
    names.reserve(graph.nodes.size());
    for (const Node& node : graph.nodes) {
      names.push_back(node.name);
    }
    return absl::NotFoundError("the model's owner keeps `" + *left.begin() +
                               "` confidential, but the model has no such node, or it is folded away at import" +
                               DidYouMean(*left.begin(), names));
  }
  return FinishPlan(graph, plan);
}

absl::Status HideResultsOf(const std::vector<std::string>& nodes, const Graph& graph, const ResolvedPlan& plan) {
  const std::set<std::string> confidential(nodes.begin(), nodes.end());
  std::map<std::string, const Node*> tainted;  // tensors, and the node that each depends on
  for (const Node& node : graph.nodes) {
    const Node* source = confidential.contains(node.name) || confidential.contains(FileNameOf(node)) ? &node : nullptr;
    for (size_t i = 0; source == nullptr && i < node.inputs.size(); ++i) {
      if (node.inputs[i] != graph::kNoValue) {
        const auto found = tainted.find(graph.values[node.inputs[i]].name);
        source = found == tainted.end() ? nullptr : found->second;
      }
    }
    for (const ValueId output : node.outputs) {
      if (source != nullptr && output != graph::kNoValue) {
        tainted.emplace(graph.values[output].name, source);
      }
    }
  }
  for (size_t index = 0; index < plan.segments.size(); ++index) {
    const Segment& segment = plan.segments[index];
    if (segment.place != Placement::kOpen && segment.place != Placement::kVerified) {
      continue;
    }
    for (const CrossingTensor& input : segment.inputs) {
      if (const auto found = tainted.find(input.name); found != tainted.end()) {
        return absl::InvalidArgumentError(LabelOf(plan, index) + " is `" + NameOf(segment.place) +
                                          "` and would show an accelerator `" + input.name +
                                          "`, which the confidential node `" + found->second->name + "` decides");
      }
    }
  }
  return absl::OkStatus();
}

absl::Status FinishPlan(const Graph& graph, ResolvedPlan& plan) {
  RETURN_IF_ERROR(CheckNotShared(graph, plan));
  for (Segment& segment : plan.segments) {
    segment.apart = segment.confidential && segment.precision == Precision::kInt8 &&
                    (MeetsConstantsAtStart(graph, segment) || MeetsConstantsAtEnd(graph, segment));
  }
  plan.digest = digest::Sha256(CanonicalEncoding(plan));
  return absl::OkStatus();
}

}  // namespace shoji::partition
