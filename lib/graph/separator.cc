// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/separator.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "lib/base/check.h"

namespace shoji::graph {
namespace {

std::vector<bool> Marked(const Graph& graph, const std::vector<size_t>& set) {
  std::vector<bool> marked(graph.nodes.size(), false);
  for (const size_t i : set) {
    marked[i] = true;
  }
  return marked;
}

bool AnyOf(const std::vector<ValueId>& ids, const std::vector<bool>& marked) {
  return std::any_of(ids.begin(), ids.end(), [&](ValueId id) { return id != kNoValue && marked[id]; });
}

void MarkAll(const std::vector<ValueId>& ids, std::vector<bool>& marked) {
  for (const ValueId id : ids) {
    if (id != kNoValue) {
      marked[id] = true;
    }
  }
}

// The nodes of one path to node `last` on which every node is in `passed`, in order: "a, b, c".
std::string PathTo(const Graph& graph, size_t last, const std::vector<bool>& passed) {
  std::vector<size_t> makers(graph.values.size(), graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      makers[id] = i;
    }
  }
  std::vector<std::string> names;
  for (size_t at = last; at < graph.nodes.size();) {
    names.push_back("`" + graph.nodes[at].name + "`");
    size_t next = graph.nodes.size();
    for (const ValueId id : graph.nodes[at].inputs) {
      if (id != kNoValue && makers[id] < graph.nodes.size() && passed[makers[id]]) {
        next = makers[id];
        break;
      }
    }
    at = next;
  }
  std::reverse(names.begin(), names.end());
  constexpr size_t kShown = 8;
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i == kShown / 2 && names.size() > kShown) {
      out += ", ...";
      i = names.size() - kShown / 2;
    }
    out += (out.empty() ? "" : ", ") + names[i];
  }
  return out;
}

}  // namespace

std::vector<bool> NodesBefore(const Graph& graph, const std::vector<size_t>& set, CutSide side) {
  std::vector<bool> chosen = Marked(graph, set);
  std::vector<bool> values(graph.values.size(), false);
  if (side == CutSide::kBefore) {
    for (size_t i = graph.nodes.size(); i-- > 0;) {
      chosen[i] = chosen[i] || AnyOf(graph.nodes[i].outputs, values);
      if (chosen[i]) {
        MarkAll(graph.nodes[i].inputs, values);
      }
    }
    return chosen;
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    chosen[i] = chosen[i] || AnyOf(graph.nodes[i].inputs, values);
    if (chosen[i]) {
      MarkAll(graph.nodes[i].outputs, values);
    }
  }
  chosen.flip();
  return chosen;
}

absl::Status CheckSeparates(const Graph& graph, const std::vector<size_t>& set) {
  const std::vector<bool> in_set = Marked(graph, set);
  // What can be reached from the inputs without the nodes of the set.
  std::vector<bool> values(graph.values.size(), false);
  MarkAll(graph.inputs, values);
  std::vector<bool> passed(graph.nodes.size(), false);
  std::vector<bool> outputs(graph.values.size(), false);
  MarkAll(graph.outputs, outputs);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    passed[i] = !in_set[i] && AnyOf(graph.nodes[i].inputs, values);
    if (!passed[i]) {
      continue;
    }
    if (AnyOf(graph.nodes[i].outputs, outputs)) {
      return absl::InvalidArgumentError(
          "does not separate the model's input from its output: " + PathTo(graph, i, passed) + " lead round it");
    }
    MarkAll(graph.nodes[i].outputs, values);
  }
  return absl::OkStatus();
}

Graph ArrangeByRank(Graph graph, const std::vector<size_t>& rank) {
  SHOJI_CHECK(rank.size() == graph.nodes.size());
  std::vector<size_t> order(rank.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&rank](size_t a, size_t b) { return rank[a] < rank[b]; });
  std::vector<size_t> new_index(rank.size() + 1, rank.size());
  std::vector<Node> nodes;
  nodes.reserve(order.size());
  for (const size_t i : order) {
    new_index[i] = nodes.size();
    nodes.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(nodes);
  for (FoldedNode& folded : graph.folded) {
    folded.end_node = folded.end_node > folded.next_node ? new_index[folded.end_node - 1] + 1 : 0;
    folded.next_node = new_index[folded.next_node];
  }
  return graph;
}

}  // namespace shoji::graph
