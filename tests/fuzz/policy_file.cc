// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Any text as a policy file; what parses is resolved for a small fixed graph.

#include "lib/policy_file/policy_file.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"
#include "lib/partition/plan.h"
#include "lib/partition/summary.h"

namespace {

// input -> a -> b -> c, element by element; `folded` stood before b.
shoji::graph::Graph Chain() {
  shoji::graph::Graph graph;
  graph.values.push_back({"input", shoji::DataType::kFloat32, shoji::Shape({1, 4}), nullptr});
  graph.inputs = {0};
  for (const char* name : {"a", "b", "c"}) {
    const auto id = static_cast<shoji::graph::ValueId>(graph.values.size());
    graph.values.push_back({std::string(name) + "_out", shoji::DataType::kFloat32, shoji::Shape({1, 4}), nullptr});
    graph.nodes.push_back({name, "Relu", shoji::graph::Op::kRelu, {}, {id - 1}, {id}});
  }
  graph.outputs = {3};
  graph.folded.push_back({"folded", 1});
  return graph;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const shoji::graph::Graph kGraph = Chain();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto policy = shoji::policy_file::ParsePolicy(text, "policy.yaml");
  if (!policy.ok()) {
    SHOJI_CHECK(!policy.status().message().empty());
    return 0;
  }
  const auto plan = shoji::partition::Resolve(*policy, kGraph, {{"gpu0", "alice", {1}}, {"gpu1", "bob", {2}}});
  if (!plan.ok()) {
    return 0;
  }
  SHOJI_CHECK(plan->segments.front().first_node == 0 && plan->segments.back().end_node == kGraph.nodes.size());
  for (const auto& segment : plan->segments) {
    SHOJI_CHECK(segment.place == shoji::partition::Placement::kEnclave ||
                segment.place == shoji::partition::Placement::kOpen);
  }
  SHOJI_CHECK(plan->result_opened == !plan->segments.back().accelerators.empty());
  (void)shoji::partition::Summarize(*plan);
  return 0;
}
