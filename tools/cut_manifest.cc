// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tools/cut_manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lib/base/bytes.h"

namespace shoji::tools {
namespace {

using partition::CrossingTensor;
using partition::Segment;

// JSON's quoting is valid YAML; what is no UTF-8 is replaced.
std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string Described(const std::string& name, DataType type, const Shape& shape) {
  std::string dims;
  for (const int64_t extent : shape.dims()) {
    dims += (dims.empty() ? "" : ", ") + std::to_string(extent);
  }
  return "{name: " + Quoted(name) + ", type: " + std::string(NameOf(type)) + ", shape: [" + dims + "]}";
}

std::string List(const std::string& indent, const std::vector<CrossingTensor>& tensors) {
  std::string out;
  for (const CrossingTensor& tensor : tensors) {
    out += indent + "- " + Described(tensor.name, tensor.type, tensor.shape) + "\n";
  }
  return out;
}

std::string List(const graph::Graph& graph, const std::vector<graph::ValueId>& ids) {
  std::string out;
  for (const graph::ValueId id : ids) {
    const graph::Value& value = graph.values[id];
    out += "  - " + Described(value.name, value.type, value.shape) + "\n";
  }
  return out;
}

}  // namespace

std::string CutFileName(size_t index, const Segment& segment) {
  return std::to_string(index + 1) + "-" + partition::NameOf(segment.place) +
         (segment.confidential ? ".sealed" : ".onnx");
}

std::string CutManifest(const partition::ResolvedPlan& plan, const graph::Graph& graph,
                        const digest::Sha256Digest& model, const std::vector<CutFile>& files) {
  std::string out =
      "# The parts of a model, written by `shoji-model cut`, in the order in which they run. A part takes tensors by "
      "name:\n"
      "# inputs of the model, or what earlier parts give. ONNX files compute in float32, whatever the placement.\n";
  out += "model: " + Quoted(plan.model) + "\n";
  // Of a model that is partly confidential it would let anybody test a guess at the rest.
  if (std::none_of(plan.segments.begin(), plan.segments.end(), [](const Segment& s) { return s.confidential; })) {
    out += "model_sha256: " + HexEncode(model) + "\n";
  }
  out += "inputs:\n" + List(graph, graph.inputs) + "outputs:\n" + List(graph, graph.outputs) + "parts:\n";
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    const Segment& segment = plan.segments[i];
    out += "  - file: " + Quoted(files[i].name) + "\n";
    out += "    sha256: " + HexEncode(files[i].digest) + "\n";
    out += "    place: " + std::string(partition::NameOf(segment.place)) + "\n";
    out += "    confidential: " + std::string(segment.confidential ? "true" : "false") + "\n";
    out += "    first_node: " + Quoted(segment.first_node_name) + "\n";
    out += "    last_node: " + Quoted(segment.last_node_name) + "\n";
    out += "    takes:\n" + List("      ", segment.inputs);
    out += "    gives:\n" + List("      ", segment.outputs);
  }
  return out;
}

std::string CutReport(const partition::ResolvedPlan& plan, const std::vector<CutFile>& files,
                      const std::string& folder) {
  std::string out;
  for (size_t i = 0; i < files.size(); ++i) {
    const Segment& segment = plan.segments[i];
    out += folder + "/" + files[i].name + ": nodes " + std::to_string(segment.first_node + 1) + " to " +
           std::to_string(segment.end_node) + ", " + std::to_string(segment.inputs.size()) + " tensors in, " +
           std::to_string(segment.outputs.size()) + " out" + (segment.confidential ? "; SEALED" : "") + "\n";
  }
  return out + folder + "/cut.yaml: which file takes and gives which tensors\n";
}

}  // namespace shoji::tools
