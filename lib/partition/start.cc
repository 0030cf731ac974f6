// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A start point makes a cut: the set of nodes that run before it. A name or an ordinal cuts at a place in the order of
// the nodes, a list of names between what depends on it and what does not. The cuts of a policy must lie one inside the
// other; what is added from one to the next is a segment.
#include "lib/partition/start.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

#include "lib/base/near_match.h"
#include "lib/base/status_macros.h"
#include "lib/graph/cut.h"
#include "lib/graph/separator.h"
#include "lib/partition/layers.h"

namespace shoji::partition {
namespace {

std::string NthOf(const NodeOrdinal& ordinal) {
  const std::string what = ordinal.op_type.empty() ? "layer" : ordinal.op_type;
  const uint64_t back = ordinal.number < 0 ? uint64_t{0} - static_cast<uint64_t>(ordinal.number) : 0;
  if (ordinal.number > 0) {
    return what + " " + std::to_string(ordinal.number);
  }
  return back == 1 ? "the last " + what : what + " " + std::to_string(back) + " from the end";
}

std::string NamesOf(const StartPoint& start) {
  if (start.ordinal.has_value()) {
    return NthOf(*start.ordinal);
  }
  if (start.set.empty()) {
    return "`" + start.node + "`";
  }
  std::string out;
  for (const std::string& name : start.set) {
    out += (out.empty() ? "`" : ", `") + name + "`";
  }
  return out;
}

// The name of the file's node that `node` is, or is a step of.
const std::string& FileName(const graph::Node& node) { return node.step_of.empty() ? node.name : node.step_of; }

// The names of the file's nodes at `nodes`, each once, in order.
std::vector<std::string> FileNames(const graph::Graph& graph, const std::vector<size_t>& nodes) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const size_t i : nodes) {
    if (seen.insert(FileName(graph.nodes[i])).second) {
      names.push_back(FileName(graph.nodes[i]));
    }
  }
  return names;
}

std::vector<size_t> NodesOfType(const graph::Graph& graph, const std::string& op_type) {
  std::vector<size_t> found;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].op_type == op_type) {
      found.push_back(i);
    }
  }
  return found;
}

std::string TypesOf(const graph::Graph& graph, const std::string& op_type) {
  std::set<std::string> types;
  for (const graph::Node& node : graph.nodes) {
    types.insert(node.op_type);
  }
  return DidYouMean(op_type, {types.begin(), types.end()});
}

absl::Status Labelled(const absl::Status& status, const std::string& label) {
  return {status.code(), label + ": " + std::string(status.message())};
}

absl::StatusOr<std::vector<bool>> BeforePlace(const StartPoint& start, const graph::Graph& graph) {
  std::string name = start.node;
  if (start.ordinal.has_value()) {
    ASSIGN_OR_RETURN(name, FindOrdinal(graph, *start.ordinal));
  }
  ASSIGN_OR_RETURN(const size_t first,
                   start.kind == StartPoint::Kind::kAt ? graph::FindNode(graph, name) : graph::FindAfter(graph, name));
  std::vector<bool> before(graph.nodes.size(), false);
  std::fill_n(before.begin(), first, true);
  return before;
}

// The node of `graph` to cut at: the first step of the file's node, or for a cut behind it the last one.
absl::StatusOr<size_t> FindMember(const graph::Graph& graph, const std::string& name, StartPoint::Kind kind) {
  ASSIGN_OR_RETURN(const size_t first, graph::FindNode(graph, name));
  if (first == graph.nodes.size() || FileName(graph.nodes[first]) != name) {
    return absl::InvalidArgumentError("`" + name +
                                      "` is folded away at import, so a list cannot hold it; name the node " +
                                      (kind == StartPoint::Kind::kAt ? "that follows it" : "before it"));
  }
  if (kind == StartPoint::Kind::kAt) {
    return first;
  }
  ASSIGN_OR_RETURN(const size_t end, graph::FindAfter(graph, name));
  return end - 1;
}

absl::StatusOr<std::vector<bool>> BeforeSet(const StartPoint& start, const graph::Graph& graph) {
  std::vector<size_t> set;
  for (const std::string& name : start.set) {
    if (std::count(start.set.begin(), start.set.end(), name) != 1) {
      return absl::InvalidArgumentError("`" + name + "` is listed twice");
    }
    ASSIGN_OR_RETURN(const size_t found, FindMember(graph, name, start.kind));
    set.push_back(found);
  }
  if (absl::Status separates = graph::CheckSeparates(graph, set); !separates.ok()) {
    return absl::InvalidArgumentError(std::string(separates.message()) + "; list a node of that path too");
  }
  return graph::NodesBefore(graph, set,
                            start.kind == StartPoint::Kind::kAt ? graph::CutSide::kBehind : graph::CutSide::kBefore);
}

// The nodes that run before the start of the segment.
absl::StatusOr<std::vector<bool>> Before(const StartPoint& start, const graph::Graph& graph) {
  if (start.kind == StartPoint::Kind::kInput) {
    return std::vector<bool>(graph.nodes.size(), false);
  }
  return !start.set.empty() ? BeforeSet(start, graph) : BeforePlace(start, graph);
}

// That the cut before segment `index` leaves something to it, and something to the segment before it.
absl::Status CheckCut(size_t index, const std::vector<bool>& earlier, const std::vector<bool>& before,
                      const std::string& label, const graph::Graph& graph) {
  if (std::find(before.begin(), before.end(), false) == before.end()) {
    return absl::InvalidArgumentError(label + ": nothing of the model is left to run there");
  }
  if (index == 0) {
    return std::find(before.begin(), before.end(), true) == before.end()
               ? absl::OkStatus()
               : absl::InvalidArgumentError(label + ": the first segment must start at the input; write `from: input`");
  }
  if (before == earlier) {
    return absl::InvalidArgumentError(label + ": starts where the segment before it starts, which would be empty");
  }
  for (size_t i = 0; i < before.size(); ++i) {
    if (earlier[i] && !before[i]) {
      return absl::InvalidArgumentError(label + ": starts before the segment before it; segments go in graph order (`" +
                                        graph.nodes[i].name + "` would be in both)");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string SegmentLabel(size_t index, const SegmentPolicy& segment) {
  std::string out = "segment " + std::to_string(index + 1);
  switch (segment.start.kind) {
    case StartPoint::Kind::kInput:
      return out + " (from the input)";
    case StartPoint::Kind::kAt:
      return out + " (from " + NamesOf(segment.start) + ")";
    case StartPoint::Kind::kAfter:
      return out + " (after " + NamesOf(segment.start) + ")";
  }
  return out;
}

absl::StatusOr<std::string> FindOrdinal(const graph::Graph& graph, const NodeOrdinal& ordinal) {
  const bool layer = ordinal.op_type.empty();
  const std::vector<std::string> names =
      FileNames(graph, layer ? LayersOf(graph) : NodesOfType(graph, ordinal.op_type));
  const auto count = static_cast<int64_t>(names.size());
  if (ordinal.number >= 1 && ordinal.number <= count) {
    return names[static_cast<size_t>(ordinal.number - 1)];
  }
  if (ordinal.number <= -1 && ordinal.number >= -count) {
    return names[static_cast<size_t>(count + ordinal.number)];
  }
  const std::string what = layer ? "layers with weights" : "nodes of type " + ordinal.op_type;
  return absl::NotFoundError("the model has " + std::to_string(count) + " " + what +
                             (count == 0 && !layer ? TypesOf(graph, ordinal.op_type) : ""));
}

absl::StatusOr<std::vector<size_t>> SegmentOfEachNode(const PartitionPolicy& policy, const graph::Graph& graph) {
  std::vector<size_t> segment_of(graph.nodes.size(), 0);
  std::vector<bool> earlier;
  for (size_t i = 0; i < policy.segments.size(); ++i) {
    const std::string label = SegmentLabel(i, policy.segments[i]);
    absl::StatusOr<std::vector<bool>> before = Before(policy.segments[i].start, graph);
    if (!before.ok()) {
      return Labelled(before.status(), label);
    }
    RETURN_IF_ERROR(CheckCut(i, earlier, *before, label, graph));
    for (size_t node = 0; node < segment_of.size(); ++node) {
      segment_of[node] = (*before)[node] ? segment_of[node] : i;
    }
    earlier = *std::move(before);
  }
  return segment_of;
}

}  // namespace shoji::partition
