// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/cut.h"

#include <algorithm>

#include "lib/base/check.h"
#include "lib/base/near_match.h"

namespace shoji::graph {
namespace {

// How the nodes of a segment and the rest of the graph use each value.
struct Usage {
  std::vector<bool> read_inside;
  std::vector<bool> made_inside;
  std::vector<bool> read_after;  // by a later node, or an output of the graph
};

Usage UsageOf(const Graph& graph, size_t first, size_t end) {
  const size_t n = graph.values.size();
  Usage usage = {std::vector<bool>(n, false), std::vector<bool>(n, false), std::vector<bool>(n, false)};
  for (size_t i = first; i < graph.nodes.size(); ++i) {
    std::vector<bool>& read = i < end ? usage.read_inside : usage.read_after;
    for (const ValueId id : graph.nodes[i].inputs) {
      if (id != kNoValue) {
        read[id] = true;
      }
    }
  }
  for (size_t i = first; i < end; ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      usage.made_inside[id] = true;
    }
  }
  for (const ValueId id : graph.outputs) {
    usage.read_after[id] = true;
  }
  return usage;
}

// Copies nodes into a new graph; each value gets its new number when it is first met.
class Copier {
 public:
  explicit Copier(const Graph& from) : from_(from), renumbered_(from.values.size(), kNoValue) {}

  ValueId Take(ValueId id) {
    if (id == kNoValue) {
      return kNoValue;
    }
    if (renumbered_[id] == kNoValue) {
      renumbered_[id] = static_cast<ValueId>(to_.values.size());
      to_.values.push_back(from_.values[id]);
    }
    return renumbered_[id];
  }

  void TakeNode(const Node& node) {
    Node copy = node;
    for (ValueId& id : copy.inputs) {
      id = Take(id);
    }
    for (ValueId& id : copy.outputs) {
      id = Take(id);
    }
    to_.nodes.push_back(std::move(copy));
  }

  Graph& graph() { return to_; }

 private:
  const Graph& from_;
  Graph to_;
  std::vector<ValueId> renumbered_;
};

}  // namespace

Graph Cut(const Graph& graph, size_t first, size_t end) {
  SHOJI_CHECK(first < end && end <= graph.nodes.size());
  const Usage usage = UsageOf(graph, first, end);
  Copier copier(graph);
  copier.graph().name = graph.name;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (usage.read_inside[i] && !usage.made_inside[i] && graph.values[i].constant == nullptr) {
      copier.graph().inputs.push_back(copier.Take(static_cast<ValueId>(i)));
    }
  }
  for (size_t i = first; i < end; ++i) {
    copier.TakeNode(graph.nodes[i]);
  }
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (usage.made_inside[i] && usage.read_after[i]) {
      copier.graph().outputs.push_back(copier.Take(static_cast<ValueId>(i)));
    }
  }
  return std::move(copier.graph());
}

Graph TakeCut(Graph& graph, size_t first, size_t end) {
  Graph part = Cut(graph, first, end);
  std::vector<bool> read_after = UsageOf(graph, first, end).read_after;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (!read_after[i]) {
      graph.values[i].constant = nullptr;
    }
  }
  return part;
}

absl::StatusOr<size_t> FindNode(const Graph& graph, const std::string& name) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].name == name || graph.nodes[i].step_of == name) {
      return i;
    }
  }
  for (const FoldedNode& folded : graph.folded) {
    if (folded.name == name) {
      return folded.next_node;
    }
  }
  std::vector<std::string> names;
  names.reserve(graph.nodes.size() + graph.folded.size());
  for (const Node& node : graph.nodes) {
    names.push_back(node.name);
  }
  for (const FoldedNode& folded : graph.folded) {
    names.push_back(folded.name);
  }
  return absl::NotFoundError("the model has no node `" + name + "`" + DidYouMean(name, names));
}

absl::StatusOr<size_t> FindAfter(const Graph& graph, const std::string& name) {
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (graph.nodes[i].name == name || graph.nodes[i].step_of == name) {
      return i + 1;
    }
  }
  for (const FoldedNode& folded : graph.folded) {
    if (folded.name == name) {
      return std::max(folded.next_node, folded.end_node);
    }
  }
  return FindNode(graph, name);
}

}  // namespace shoji::graph
