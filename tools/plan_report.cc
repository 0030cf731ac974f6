// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/plan_report.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "lib/base/bytes.h"
#include "lib/graph/cost.h"
#include "lib/partition/summary.h"

namespace shoji::tools {
namespace {

using partition::CrossingTensor;
using partition::OpenedSegment;
using partition::Placement;
using partition::ResolvedPlan;
using partition::Segment;

uint64_t TotalBytes(const std::vector<CrossingTensor>& tensors) {
  uint64_t total = 0;
  for (const CrossingTensor& tensor : tensors) {
    total += tensor.size_bytes();
  }
  return total;
}

// Names come from the model file: what a terminal would act on is shown as '?'.
std::string Printable(std::string name) {
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    c = byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return name;
}

// "stem_conv_out [1,16,32,32]"
std::string Describe(const std::vector<CrossingTensor>& tensors) {
  std::string out;
  for (const CrossingTensor& tensor : tensors) {
    out += (out.empty() ? "" : ", ") + Printable(tensor.name) + " " + tensor.shape.ToString();
  }
  return out;
}

// An accelerator without a name stands for any.
std::string AcceleratorNames(const Segment& segment) {
  std::string out;
  for (const partition::AcceleratorIdentity& accelerator : segment.accelerators) {
    out += (out.empty() ? "" : " or ") + accelerator.name;
  }
  return out.empty() ? "any accelerator" : "accelerator " + out;
}

// "1234567" as "1,234,567".
std::string Grouped(uint64_t number) {
  std::string out = std::to_string(number);
  for (size_t i = out.size(); i > 3; i -= 3) {
    out.insert(i - 3, 1, ',');
  }
  return out;
}

const OpenedSegment* FindOpened(const std::vector<OpenedSegment>& opened, size_t index) {
  for (const OpenedSegment& segment : opened) {
    if (segment.index == index) {
      return &segment;
    }
  }
  return nullptr;
}

std::string AcceleratorSees(const OpenedSegment* opened) {
  if (opened == nullptr) {
    return "nothing";
  }
  return Describe(opened->revealed) + " and what the segment makes of it" +
         (opened->result_opened ? ", THE ANSWER INCLUDED" : "; not the answer");
}

std::string SegmentAsText(const ResolvedPlan& plan, size_t index, const graph::Graph& graph) {
  const Segment& segment = plan.segments[index];
  const graph::Cost cost = graph::CostOf(graph, segment.first_node, segment.end_node);
  const std::vector<OpenedSegment> opened = Summarize(plan);
  std::string out = "\nsegment " + std::to_string(index + 1) + ": " + partition::NameOf(segment.place) + ", " +
                    partition::NameOf(segment.precision) + "\n";
  out += "  nodes              " + Printable(segment.first_node_name) + " to " + Printable(segment.last_node_name) +
         " (" + std::to_string(segment.end_node - segment.first_node) + ")\n";
  out += "  runs on            " + (segment.place == Placement::kEnclave ? "the enclave" : AcceleratorNames(segment)) +
         "\n";
  out += "  parameters         " + Grouped(cost.parameters) + " (" + Grouped(cost.parameter_bytes) + " bytes)\n";
  out += "  multiply-adds      " + Grouped(cost.macs) + "\n";
  out += "  enters             " + Describe(segment.inputs) + " (" + Grouped(TotalBytes(segment.inputs)) + " bytes)\n";
  out +=
      "  leaves             " + Describe(segment.outputs) + " (" + Grouped(TotalBytes(segment.outputs)) + " bytes)\n";
  out += "  accelerator sees   " + AcceleratorSees(FindOpened(opened, index)) + "\n";
  return out;
}

bool UsesAccelerators(const ResolvedPlan& plan) {
  return std::any_of(plan.segments.begin(), plan.segments.end(),
                     [](const Segment& segment) { return !segment.accelerators.empty(); });
}

nlohmann::json AsJson(const std::vector<CrossingTensor>& tensors) {
  nlohmann::json list = nlohmann::json::array();
  for (const CrossingTensor& tensor : tensors) {
    list.push_back({{"name", tensor.name},
                    {"type", std::string(shoji::NameOf(tensor.type))},
                    {"shape", tensor.shape.dims()},
                    {"bytes", tensor.size_bytes()}});
  }
  return list;
}

nlohmann::json SegmentAsJson(const ResolvedPlan& plan, size_t index, const graph::Graph& graph) {
  const Segment& segment = plan.segments[index];
  const graph::Cost cost = graph::CostOf(graph, segment.first_node, segment.end_node);
  const std::vector<OpenedSegment> opened = Summarize(plan);
  const OpenedSegment* seen = FindOpened(opened, index);
  nlohmann::json accelerators = nlohmann::json::array();
  for (const partition::AcceleratorIdentity& accelerator : segment.accelerators) {
    if (!accelerator.name.empty()) {
      accelerators.push_back(accelerator.name);
    }
  }
  return {{"place", partition::NameOf(segment.place)},
          {"precision", partition::NameOf(segment.precision)},
          {"verify", segment.verify},
          {"confidential", segment.confidential},
          {"first_node", segment.first_node_name},
          {"last_node", segment.last_node_name},
          {"num_nodes", segment.end_node - segment.first_node},
          {"accelerators", accelerators},
          {"parameters", cost.parameters},
          {"parameter_bytes", cost.parameter_bytes},
          {"macs", cost.macs},
          {"inputs", AsJson(segment.inputs)},
          {"outputs", AsJson(segment.outputs)},
          {"input_bytes", TotalBytes(segment.inputs)},
          {"output_bytes", TotalBytes(segment.outputs)},
          {"accelerator_sees", seen == nullptr ? nlohmann::json::array() : AsJson(seen->revealed)},
          {"accelerator_sees_result", seen != nullptr && seen->result_opened}};
}

}  // namespace

std::string PlanAsText(const ResolvedPlan& plan, const graph::Graph& graph) {
  std::string out = "model                " + plan.model + "\n";
  out += "plan digest          " + HexEncode(plan.digest) + "\n";
  if (UsesAccelerators(plan)) {
    out +=
        "                     (for accelerators without operator or key; a deployment that states them has another)\n";
  }
  out += "front end sees       nothing but ciphertext\n";
  out += "result               ";
  out += plan.result_opened ? "OPEN: an accelerator sees the answer; clients need --allow-open-result\n"
                            : "closed: only the enclave and the client see the answer\n";
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    out += SegmentAsText(plan, i, graph);
  }
  return out;
}

std::string PlanAsJson(const ResolvedPlan& plan, const graph::Graph& graph) {
  nlohmann::json segments = nlohmann::json::array();
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    segments.push_back(SegmentAsJson(plan, i, graph));
  }
  const nlohmann::json report = {{"model", plan.model},
                                 {"plan_digest", HexEncode(plan.digest)},
                                 {"result_opened", plan.result_opened},
                                 {"segments", segments}};
  // Names come from the model file and may be no UTF-8.
  return report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace shoji::tools
