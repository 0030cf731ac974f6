// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/plan.h"

#include <algorithm>
#include <utility>

#include "lib/base/near_match.h"
#include "lib/base/status_macros.h"
#include "lib/graph/cut.h"
#include "lib/graph/separator.h"
#include "lib/partition/confidential.h"
#include "lib/partition/shares.h"
#include "lib/partition/start.h"

namespace shoji::partition {
namespace {

bool NeedsAccelerator(Placement place) { return place != Placement::kEnclave; }

// The index of each segment's first node. The graph must be arranged for the policy.
absl::StatusOr<std::vector<size_t>> FirstNodes(const PartitionPolicy& policy, const graph::Graph& graph) {
  ASSIGN_OR_RETURN(const std::vector<size_t> segment_of, SegmentOfEachNode(policy, graph));
  std::vector<size_t> firsts = {0};
  for (size_t i = 1; i < segment_of.size(); ++i) {
    if (segment_of[i] < segment_of[i - 1]) {
      return absl::InternalError("the graph is not arranged for the policy");
    }
    if (segment_of[i] != segment_of[i - 1]) {
      firsts.push_back(i);
    }
  }
  return firsts;
}

absl::Status CheckVerify(const PartitionPolicy& policy, size_t index, const std::string& label) {
  const SegmentPolicy& segment = policy.segments[index];
  if (!segment.verify.has_value()) {
    return absl::OkStatus();
  }
  if (segment.place == Placement::kEnclave || segment.place == Placement::kOpen) {
    return absl::InvalidArgumentError(label + ": `verify` has no meaning where the placement is `" +
                                      NameOf(segment.place) + "`");
  }
  if (*segment.verify) {
    return absl::OkStatus();
  }
  if (segment.place == Placement::kVerified) {
    return absl::InvalidArgumentError(label + ": placement `verified` is always checked; `verify: false` is refused");
  }
  for (size_t i = index + 1; i < policy.segments.size(); ++i) {
    if (Reveals(policy.segments[i].place)) {
      return absl::InvalidArgumentError(
          label + ": `verify: false` is refused because segment " + std::to_string(i + 1) + " is `" +
          NameOf(policy.segments[i].place) +
          "`: masks are malleable, and unchecked answers could steer what is opened there");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPrecision(const SegmentPolicy& segment, const std::string& label) {
  const bool offloads = segment.place == Placement::kBlinded || segment.place == Placement::kVerified;
  if (offloads && PrecisionOf(segment) != Precision::kInt8) {
    return absl::InvalidArgumentError(label + ": `precision: " + NameOf(PrecisionOf(segment)) +
                                      "` is refused because placement `" + NameOf(segment.place) +
                                      "` is always int8 (masks and checks need integers); leave `precision` out");
  }
  return absl::OkStatus();
}

absl::Status CheckSegment(const PartitionPolicy& policy, size_t index) {
  const SegmentPolicy& segment = policy.segments[index];
  const std::string label = SegmentLabel(index, segment);
  RETURN_IF_ERROR(CheckVerify(policy, index, label));
  RETURN_IF_ERROR(CheckPrecision(segment, label));
  if (segment.confidential && segment.place != Placement::kEnclave) {
    return absl::InvalidArgumentError(label + ": `confidential` needs `place: enclave`, not `" + NameOf(segment.place) +
                                      "`");
  }
  if (!NeedsAccelerator(segment.place) && !segment.accelerators.empty()) {
    return absl::InvalidArgumentError(label + ": a segment in the enclave takes no `accelerators`");
  }
  return absl::OkStatus();
}

absl::Status CheckSegmentAvailable(const SegmentPolicy& segment, size_t index) {
  const std::string number = " of segment " + std::to_string(index + 1) + " is not available yet";
  if (segment.place == Placement::kOpen && PrecisionOf(segment) != Precision::kFloat32) {
    return absl::UnimplementedError("precision `" + std::string(NameOf(PrecisionOf(segment))) +
                                    "` in the open placement" + number + "; `float32` is");
  }
  return absl::OkStatus();
}

absl::Status CheckAvailable(const PartitionPolicy& policy) {
  for (size_t i = 0; i < policy.segments.size(); ++i) {
    RETURN_IF_ERROR(CheckSegmentAvailable(policy.segments[i], i));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AcceleratorIdentity>> ChooseAccelerators(
    const SegmentPolicy& segment, const std::string& label, const std::vector<AcceleratorIdentity>& accelerators) {
  std::vector<AcceleratorIdentity> chosen;
  if (!NeedsAccelerator(segment.place)) {
    return chosen;
  }
  if (accelerators.empty()) {
    return absl::InvalidArgumentError(label + ": placement `" + NameOf(segment.place) +
                                      "` needs an accelerator, and the deployment has none; name one, or say "
                                      "`place: enclave`");
  }
  if (segment.accelerators.empty()) {
    return accelerators;
  }
  std::vector<std::string> names;
  names.reserve(accelerators.size());
  for (const AcceleratorIdentity& accelerator : accelerators) {
    names.push_back(accelerator.name);
  }
  for (const std::string& name : segment.accelerators) {
    std::string what = "accelerator `" + name + "`";
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return absl::NotFoundError(what.insert(0, label + ": the deployment has no ").append(DidYouMean(name, names)));
    }
    if (std::count(segment.accelerators.begin(), segment.accelerators.end(), name) != 1) {
      return absl::InvalidArgumentError(what.insert(0, label + ": ").append(" is listed twice"));
    }
    chosen.push_back(accelerators[static_cast<size_t>(found - names.begin())]);
  }
  return chosen;
}

std::vector<CrossingTensor> TensorsOf(const graph::Graph& graph, const std::vector<graph::ValueId>& ids) {
  std::vector<CrossingTensor> tensors;
  for (const graph::ValueId id : ids) {
    const graph::Value& value = graph.values[id];
    tensors.push_back({value.name, value.type, value.shape});
  }
  return tensors;
}

bool MakesOutput(const graph::Graph& graph, size_t first, size_t end) {
  for (size_t i = first; i < end; ++i) {
    for (const graph::ValueId id : graph.nodes[i].outputs) {
      if (std::find(graph.outputs.begin(), graph.outputs.end(), id) != graph.outputs.end()) {
        return true;
      }
    }
  }
  return false;
}

// Whether a tensor that enters the segment is an output of the model, which an earlier segment made.
bool TakesOutput(const graph::Graph& graph, const Segment& segment) {
  return std::any_of(segment.inputs.begin(), segment.inputs.end(), [&](const CrossingTensor& input) {
    return std::any_of(graph.outputs.begin(), graph.outputs.end(),
                       [&](graph::ValueId id) { return graph.values[id].name == input.name; });
  });
}

Segment ResolveSegment(const SegmentPolicy& policy, const graph::Graph& graph, size_t first, size_t end) {
  Segment segment;
  segment.place = policy.place;
  segment.precision = PrecisionOf(policy);
  segment.verify =
      policy.place == Placement::kVerified || (policy.place == Placement::kBlinded && policy.verify.value_or(true));
  segment.confidential = policy.confidential;
  segment.first_node = first;
  segment.end_node = end;
  segment.first_node_name = graph.nodes[first].name;
  segment.last_node_name = graph.nodes[end - 1].name;
  const graph::Graph part = graph::Cut(graph, first, end);
  segment.inputs = TensorsOf(part, part.inputs);
  segment.outputs = TensorsOf(part, part.outputs);
  segment.holds_result = MakesOutput(graph, first, end) || TakesOutput(graph, segment);
  return segment;
}

void AppendTensors(Bytes& out, const std::vector<CrossingTensor>& tensors) {
  AppendUint32(out, static_cast<uint32_t>(tensors.size()));
  for (const CrossingTensor& tensor : tensors) {
    AppendLengthPrefixed(out, tensor.name);
    AppendLengthPrefixed(out, shoji::NameOf(tensor.type));
    AppendUint32(out, static_cast<uint32_t>(tensor.shape.rank()));
    for (const int64_t extent : tensor.shape.dims()) {
      AppendUint64(out, static_cast<uint64_t>(extent));
    }
  }
}

void AppendOperators(Bytes& out, const std::vector<AcceleratorIdentity>& accelerators) {
  std::vector<std::pair<std::string, Bytes>> operators;
  operators.reserve(accelerators.size());
  for (const AcceleratorIdentity& accelerator : accelerators) {
    operators.emplace_back(accelerator.operator_name, accelerator.public_key);
  }
  std::sort(operators.begin(), operators.end());
  operators.erase(std::unique(operators.begin(), operators.end()), operators.end());
  AppendUint32(out, static_cast<uint32_t>(operators.size()));
  for (const auto& [name, key] : operators) {
    AppendLengthPrefixed(out, name);
    AppendLengthPrefixed(out, ByteSpan(key));
  }
}

void AppendSegment(Bytes& out, const Segment& segment) {
  AppendLengthPrefixed(out, NameOf(segment.place));
  AppendLengthPrefixed(out, NameOf(segment.precision));
  out.push_back(segment.verify ? 1 : 0);
  out.push_back(segment.confidential ? 1 : 0);
  AppendLengthPrefixed(out, segment.first_node_name);
  AppendLengthPrefixed(out, segment.last_node_name);
  AppendOperators(out, segment.accelerators);
  AppendTensors(out, segment.inputs);
  AppendTensors(out, segment.outputs);
}

}  // namespace

absl::StatusOr<graph::Graph> ArrangeFor(const PartitionPolicy& policy, graph::Graph graph) {
  const bool has_set = std::any_of(policy.segments.begin(), policy.segments.end(),
                                   [](const SegmentPolicy& segment) { return !segment.start.set.empty(); });
  if (!has_set) {
    return graph;
  }
  ASSIGN_OR_RETURN(const std::vector<size_t> segment_of, SegmentOfEachNode(policy, graph));
  return graph::ArrangeByRank(std::move(graph), segment_of);
}

absl::StatusOr<ResolvedPlan> Resolve(const PartitionPolicy& policy, const graph::Graph& graph,
                                     const std::vector<AcceleratorIdentity>& accelerators) {
  if (policy.segments.empty()) {
    return absl::InvalidArgumentError("the policy has no segments");
  }
  if (graph.nodes.empty()) {
    return absl::InvalidArgumentError("the model has no nodes");
  }
  if (policy.model == kAnyModel) {
    return absl::InvalidArgumentError("the policy is for any model; ForModel must name the one that is served");
  }
  ASSIGN_OR_RETURN(const std::vector<size_t> firsts, FirstNodes(policy, graph));
  ResolvedPlan plan;
  plan.model = policy.model;
  plan.masking = policy.masking;
  for (size_t i = 0; i < policy.segments.size(); ++i) {
    const SegmentPolicy& segment = policy.segments[i];
    RETURN_IF_ERROR(CheckSegment(policy, i));
    const size_t end = i + 1 < firsts.size() ? firsts[i + 1] : graph.nodes.size();
    plan.segments.push_back(ResolveSegment(segment, graph, firsts[i], end));
    ASSIGN_OR_RETURN(plan.segments.back().accelerators,
                     ChooseAccelerators(segment, SegmentLabel(i, segment), accelerators));
    if (segment.place == Placement::kBlinded && policy.masking.source == MaskSource::kShares) {
      RETURN_IF_ERROR(CheckShareHolders(plan.segments.back().accelerators, SegmentLabel(i, segment)));
    }
    plan.result_opened = plan.result_opened || (Reveals(segment.place) && plan.segments.back().holds_result);
  }
  RETURN_IF_ERROR(CheckAvailable(policy));
  RETURN_IF_ERROR(FinishPlan(graph, plan));
  return plan;
}

std::vector<Region> RegionsOf(const ResolvedPlan& plan) {
  std::vector<Region> regions;
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    const bool quantized = plan.segments[i].precision == Precision::kInt8;
    const bool joins = i > 0 && !plan.segments[i].apart && !plan.segments[i - 1].apart;
    if (quantized && joins && regions.back().quantized) {
      regions.back().end_segment = i + 1;
    } else {
      regions.push_back({i, i + 1, quantized});
    }
  }
  return regions;
}

uint64_t PoolBytesEach(const ResolvedPlan& plan) {
  uint64_t num_pools = 0;
  for (const Region& region : RegionsOf(plan)) {
    bool has_blinded = false;
    for (size_t i = region.first_segment; i < region.end_segment; ++i) {
      has_blinded = has_blinded || plan.segments[i].place == Placement::kBlinded;
    }
    num_pools += has_blinded ? 1U : 0U;
  }
  return plan.masking.pool_bytes / std::max<uint64_t>(1, num_pools);
}

Bytes CanonicalEncoding(const ResolvedPlan& plan) {
  Bytes out;
  Append(out, "shoji plan v1");
  AppendLengthPrefixed(out, plan.model);
  AppendUint32(out, static_cast<uint32_t>(plan.segments.size()));
  for (const Segment& segment : plan.segments) {
    AppendSegment(out, segment);
  }
  AppendLengthPrefixed(out, NameOf(plan.masking.source));
  out.push_back(plan.result_opened ? 1 : 0);
  return out;
}

}  // namespace shoji::partition
