// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Any text as a policy file; what parses is resolved for a small fixed graph.

#include "lib/policy_file/policy_file.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/bytes.h"
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
    shoji::graph::Node& node = graph.nodes.emplace_back();
    node.name = name;
    node.op_type = "Relu";
    node.op = shoji::graph::Op::kRelu;
    node.inputs = {id - 1};
    node.outputs = {id};
  }
  graph.outputs = {3};
  graph.folded.push_back({"folded", 1});
  return graph;
}

shoji::partition::AcceleratorIdentity Accelerator(const std::string& name, const std::string& operator_name) {
  return {.name = name,
          .operator_name = operator_name,
          .public_key = shoji::ToBytes(operator_name),
          .address = name,
          .link = shoji::partition::LinkSecurity::kMutualTls};
}

// What holds of every plan, whatever the policy says.
void CheckPlan(const shoji::partition::ResolvedPlan& plan, const shoji::graph::Graph& graph) {
  using shoji::partition::Placement;
  using shoji::partition::Precision;
  SHOJI_CHECK(plan.segments.front().first_node == 0 && plan.segments.back().end_node == graph.nodes.size());
  SHOJI_CHECK(plan.result_opened == shoji::partition::Reveals(plan.segments.back().place));
  bool unchecked = false;
  for (const auto& segment : plan.segments) {
    const bool offloads = segment.place == Placement::kBlinded || segment.place == Placement::kVerified;
    SHOJI_CHECK(!offloads || segment.precision == Precision::kInt8);
    SHOJI_CHECK(segment.place != Placement::kOpen || segment.precision == Precision::kFloat32);
    SHOJI_CHECK(segment.accelerators.empty() == (segment.place == Placement::kEnclave));
    SHOJI_CHECK(!unchecked || !shoji::partition::Reveals(segment.place));
    unchecked = unchecked || (segment.place == Placement::kBlinded && !segment.verify);
    const bool shares =
        segment.place == Placement::kBlinded && plan.masking.source == shoji::partition::MaskSource::kShares;
    SHOJI_CHECK(!shares || segment.accelerators.size() == 2);
  }
  size_t covered = 0;
  for (const auto& region : shoji::partition::RegionsOf(plan)) {
    SHOJI_CHECK(region.first_segment == covered && region.end_segment > covered);
    covered = region.end_segment;
  }
  SHOJI_CHECK(covered == plan.segments.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const shoji::graph::Graph kGraph = Chain();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = shoji::policy_file::ParsePolicy(text, "policy.yaml");
  if (!parsed.ok()) {
    SHOJI_CHECK(!parsed.status().message().empty());
    return 0;
  }
  const auto policy = shoji::partition::ForModel(*parsed, "any");
  const auto arranged = shoji::partition::ArrangeFor(policy, kGraph);
  if (!arranged.ok()) {
    return 0;
  }
  const auto plan =
      shoji::partition::Resolve(policy, *arranged, {Accelerator("gpu0", "alice"), Accelerator("gpu1", "bob")});
  SHOJI_CHECK(plan.status().code() != absl::StatusCode::kInternal);
  if (!plan.ok()) {
    return 0;
  }
  CheckPlan(*plan, *arranged);
  (void)shoji::partition::Summarize(*plan);
  return 0;
}
