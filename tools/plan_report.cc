// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/plan_report.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
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

std::string WhereItRuns(const Segment& segment) {
  switch (segment.place) {
    case Placement::kEnclave:
      return "the enclave";
    case Placement::kOpen:
      return AcceleratorNames(segment);
    case Placement::kBlinded:
    case Placement::kVerified:
      return AcceleratorNames(segment) + ": the linear layers; the enclave: the rest";
  }
  return "?";
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

std::string AcceleratorSees(const Segment& segment, const OpenedSegment* opened) {
  if (opened == nullptr) {
    return segment.place == Placement::kBlinded ? "numbers that are uniformly random, and the weights" : "nothing";
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
  out += "  runs on            " + WhereItRuns(segment) + "\n";
  if (segment.place == Placement::kBlinded || segment.place == Placement::kVerified) {
    out += segment.verify ? "  answers            checked; a wrong one is computed again in the enclave\n"
                          : "  answers            NOT CHECKED: an accelerator can make the answer wrong\n";
  }
  out += "  parameters         " + Grouped(cost.parameters) + " (" + Grouped(cost.parameter_bytes) + " bytes)\n";
  out += "  multiply-adds      " + Grouped(cost.macs) + "\n";
  out += "  enters             " + Describe(segment.inputs) + " (" + Grouped(TotalBytes(segment.inputs)) + " bytes)\n";
  out +=
      "  leaves             " + Describe(segment.outputs) + " (" + Grouped(TotalBytes(segment.outputs)) + " bytes)\n";
  out += "  accelerator sees   " + AcceleratorSees(segment, FindOpened(opened, index)) + "\n";
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

std::string Grouped(uint64_t number, const char* if_zero) { return number == 0 ? if_zero : Grouped(number); }

// "2^-45.8"
std::string ErrorBound(const LayerPlan& layer) {
  if (layer.num_checks == 0) {
    return "-";
  }
  char text[32];
  std::snprintf(text, sizeof(text), "2^%.1f", layer.log2_error);
  return text;
}

std::string Checked(const LayerPlan& layer) {
  if (layer.num_checks == 0) {
    return layer.place == Placement::kEnclave ? "-" : "NO";
  }
  return layer.num_checks == 1 ? "once" : "twice";
}

std::string Grouped(int64_t number) {
  const bool negative = number < 0;
  return (negative ? "-" : "") +
         Grouped(negative ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number));
}

using Row = std::vector<std::string>;

Row RowOf(const LayerPlan& layer) {
  const bool stays = layer.place == Placement::kEnclave;
  return {Printable(layer.name),
          std::to_string(layer.segment + 1),
          partition::NameOf(layer.place),
          stays ? "-" : "2^" + std::to_string(kernels::ring::Bits(layer.ring)),
          "[" + Grouped(layer.lo) + ", " + Grouped(layer.hi) + "]",
          Grouped(layer.bytes_out, "-"),
          Grouped(layer.bytes_in, "-"),
          Grouped(layer.pad_bytes, "-"),
          ErrorBound(layer),
          Checked(layer)};
}

// Columns as wide as their widest cell; the first one to the left, the others to the right.
std::string Table(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line = "  ";
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      line += (i == 0 ? row[i] + space : "  " + space + row[i]);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string LayersAsText(const PlanReport& report) {
  if (!report.layers.has_value()) {
    return report.layers_missing.empty() ? "" : "\nlayers               not shown: " + report.layers_missing + "\n";
  }
  if (report.layers->empty()) {
    return "";
  }
  std::vector<Row> rows = {{"layer", "segment", "place", "ring", "accumulator", "bytes out", "bytes in", "pad bytes",
                            "error bound", "checked"}};
  for (const LayerPlan& layer : *report.layers) {
    rows.push_back(RowOf(layer));
  }
  const LayerTotals totals = TotalsOf(*report.layers);
  rows.push_back({"each request", "", "", "", "", Grouped(totals.bytes_out, "-"), Grouped(totals.bytes_in, "-"),
                  Grouped(totals.pad_bytes, "-"), "", ""});
  std::string out = "\nlinear layers in int8 (out: to accelerators; in: from them)\n" + Table(rows);
  for (const PoolPlan& pool : report.pools) {
    out += "pool of segment " + std::to_string(pool.region.first_segment + 1) +
           (pool.region.end_segment - pool.region.first_segment > 1 ? " to " + std::to_string(pool.region.end_segment)
                                                                    : "") +
           ": pads for " + Grouped(pool.requests) + " requests, " + Grouped(pool.requests * pool.pad_bytes) +
           " bytes (masking.pool allows " + Grouped(uint64_t{report.plan.masking.pool_requests}) + " and " +
           Grouped(partition::PoolBytesEach(report.plan)) + ")\n";
  }
  return out;
}

nlohmann::json AsJson(const LayerPlan& layer) {
  nlohmann::json out = {
      {"name", layer.name},         {"segment", layer.segment},     {"place", partition::NameOf(layer.place)},
      {"accumulator_lo", layer.lo}, {"accumulator_hi", layer.hi},   {"bytes_out", layer.bytes_out},
      {"bytes_in", layer.bytes_in}, {"pad_bytes", layer.pad_bytes}, {"num_checks", layer.num_checks}};
  out["ring_bits"] =
      layer.place == Placement::kEnclave ? nlohmann::json() : nlohmann::json(kernels::ring::Bits(layer.ring));
  out["log2_error_bound"] = layer.num_checks == 0 ? nlohmann::json() : nlohmann::json(layer.log2_error);
  return out;
}

// Adds the members about layers to `out`.
void AddLayers(const PlanReport& report, nlohmann::json& out) {
  if (!report.layers.has_value()) {
    out["layers"] = nlohmann::json();
    out["layers_missing"] = report.layers_missing;
    return;
  }
  const LayerTotals totals = TotalsOf(*report.layers);
  out["layers"] = nlohmann::json::array();
  for (const LayerPlan& layer : *report.layers) {
    out["layers"].push_back(AsJson(layer));
  }
  out["bytes_out_per_request"] = totals.bytes_out;
  out["bytes_in_per_request"] = totals.bytes_in;
  out["pad_bytes_per_request"] = totals.pad_bytes;
  out["pools"] = nlohmann::json::array();
  for (const PoolPlan& pool : report.pools) {
    out["pools"].push_back({{"first_segment", pool.region.first_segment},
                            {"end_segment", pool.region.end_segment},
                            {"pad_bytes", pool.pad_bytes},
                            {"requests", pool.requests}});
  }
}

bool Masks(const ResolvedPlan& plan) {
  return std::any_of(plan.segments.begin(), plan.segments.end(),
                     [](const Segment& segment) { return segment.place == Placement::kBlinded; });
}

}  // namespace

std::string ReportAsText(const PlanReport& report, const graph::Graph& graph) {
  const ResolvedPlan& plan = report.plan;
  std::string out = "model                " + plan.model + "\n";
  for (const std::string& note : graph.notes) {
    out += "note                 " + note + "\n";
  }
  out += "model digest         " + HexEncode(report.model_digest) + "\n";
  out += "plan digest          " + HexEncode(plan.digest) + "\n";
  if (UsesAccelerators(plan)) {
    out +=
        "                     (for accelerators without operator or key; a deployment that states them has another)\n";
  }
  out += "front end sees       nothing but ciphertext\n";
  out += "result               ";
  out += plan.result_opened ? "OPEN: an accelerator sees the answer; clients need --allow-open-result\n"
                            : "closed: only the enclave and the client see the answer\n";
  if (Masks(plan)) {
    out += plan.masking.source == partition::MaskSource::kPads
               ? "masks                pads, made in the enclave\n"
               : "masks                shares of two operators that must not collude; the enclave checks at load that "
                 "they are two\n";
  }
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    out += SegmentAsText(plan, i, graph);
  }
  return out + LayersAsText(report);
}

std::string ReportAsJson(const PlanReport& report, const graph::Graph& graph) {
  const ResolvedPlan& plan = report.plan;
  nlohmann::json segments = nlohmann::json::array();
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    segments.push_back(SegmentAsJson(plan, i, graph));
  }
  nlohmann::json out = {
      {"model", plan.model},
      {"model_digest", HexEncode(report.model_digest)},
      {"notes", graph.notes},
      {"plan_digest", HexEncode(plan.digest)},
      {"result_opened", plan.result_opened},
      {"masking_source", Masks(plan) ? nlohmann::json(NameOf(plan.masking.source)) : nlohmann::json()},
      {"segments", segments}};
  AddLayers(report, out);
  // Names come from the model file and may be no UTF-8.
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace shoji::tools
