// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/passes.h"

#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace shoji::graph {
namespace {

// BatchNormalization as y = scale * x + shift, one pair a channel.
struct Affine {
  std::vector<double> scale;
  std::vector<double> shift;
};

const Tensor* ConstantOf(const Graph& graph, ValueId id) {
  return id == kNoValue ? nullptr : graph.values[id].constant.get();
}

std::optional<Affine> AffineOf(const Graph& graph, const Node& batch_norm) {
  const Tensor* parameters[4] = {};
  for (size_t i = 0; i < 4; ++i) {
    parameters[i] = ConstantOf(graph, batch_norm.inputs[i + 1]);
    if (parameters[i] == nullptr) {
      return std::nullopt;
    }
  }
  const auto epsilon = static_cast<double>(std::get<BatchNormAttributes>(batch_norm.attributes).epsilon);
  const std::span<const float> scale = parameters[0]->values<float>();
  const std::span<const float> bias = parameters[1]->values<float>();
  const std::span<const float> mean = parameters[2]->values<float>();
  const std::span<const float> variance = parameters[3]->values<float>();
  Affine affine;
  for (size_t c = 0; c < scale.size(); ++c) {
    const double s = static_cast<double>(scale[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    affine.scale.push_back(s);
    affine.shift.push_back(static_cast<double>(bias[c]) - static_cast<double>(mean[c]) * s);
  }
  return affine;
}

Tensor ScaledConvWeights(const Tensor& weights, const Affine& affine) {
  Tensor out = weights.Clone();
  const std::span<float> values = out.mutable_values<float>();
  const size_t per_channel = values.size() / affine.scale.size();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<double>(values[i]) * affine.scale[i / per_channel]);
  }
  return out;
}

// B is [K,N], or [N,K] when transposed; the N columns are scaled.
Tensor ScaledGemmWeights(const Tensor& weights, bool transposed, const Affine& affine) {
  Tensor out = weights.Clone();
  const std::span<float> values = out.mutable_values<float>();
  const size_t n = affine.scale.size();
  const size_t k = values.size() / n;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t column = transposed ? i / k : i % n;
    values[i] = static_cast<float>(static_cast<double>(values[i]) * affine.scale[column]);
  }
  return out;
}

// beta * bias through `affine`; `bias` has one element, or one a channel, or is absent.
Tensor FoldedBias(const Tensor* bias, double beta, const Affine& affine) {
  const size_t channels = affine.scale.size();
  Tensor out(DataType::kFloat32, Shape({static_cast<int64_t>(channels)}));
  for (size_t c = 0; c < channels; ++c) {
    double b = 0;
    if (bias != nullptr) {
      b = beta * static_cast<double>(bias->values<float>()[bias->num_elements() == 1 ? 0 : c]);
    }
    out.mutable_values<float>()[c] = static_cast<float>(b * affine.scale[c] + affine.shift[c]);
  }
  return out;
}

// Adds constants under names that are not taken yet.
class ConstantAdder {
 public:
  explicit ConstantAdder(Graph& graph) : graph_(graph) {
    for (const Value& value : graph.values) {
      names_.insert(value.name);
    }
  }

  ValueId Add(std::string name, Tensor tensor) {
    while (!names_.insert(name).second) {
      name += "'";
    }
    Value value;
    value.name = std::move(name);
    value.type = tensor.type();
    value.shape = tensor.shape();
    value.constant = std::make_shared<const Tensor>(std::move(tensor));
    graph_.values.push_back(std::move(value));
    return static_cast<ValueId>(graph_.values.size() - 1);
  }

 private:
  Graph& graph_;
  std::unordered_set<std::string> names_;
};

// Whether `node` is a Conv or a Gemm with constant weights whose bias, if any, is a constant of one element or one a
// channel.
bool CanAbsorb(const Graph& graph, const Node& node, size_t channels) {
  if ((node.op != Op::kConv && node.op != Op::kGemm) || ConstantOf(graph, node.inputs[1]) == nullptr ||
      ConstantOf(graph, node.inputs[1])->num_elements() == 0) {
    return false;
  }
  if (node.inputs.size() < 3 || node.inputs[2] == kNoValue) {
    return true;
  }
  const Tensor* bias = ConstantOf(graph, node.inputs[2]);
  return bias != nullptr && (bias->num_elements() == 1 || bias->num_elements() == channels) &&
         (bias->shape().rank() == 0 || bias->num_elements() == 1 ||
          bias->shape()[bias->shape().rank() - 1] == static_cast<int64_t>(channels));
}

void Absorb(Graph& graph, ConstantAdder& constants, Node& linear, const Affine& affine) {
  const Value& weights = graph.values[linear.inputs[1]];
  const Tensor* bias = linear.inputs.size() > 2 ? ConstantOf(graph, linear.inputs[2]) : nullptr;
  auto* gemm = std::get_if<GemmAttributes>(&linear.attributes);
  Tensor new_bias = FoldedBias(bias, gemm == nullptr ? 1.0 : static_cast<double>(gemm->beta), affine);
  Tensor new_weights = gemm == nullptr ? ScaledConvWeights(*weights.constant, affine)
                                       : ScaledGemmWeights(*weights.constant, gemm->trans_b, affine);
  const std::string weights_name = weights.name + ".folded";
  linear.inputs.resize(3, kNoValue);
  linear.inputs[1] = constants.Add(weights_name, std::move(new_weights));
  linear.inputs[2] = constants.Add(linear.name + ".folded_bias", std::move(new_bias));
  if (gemm != nullptr) {
    gemm->beta = 1;
  }
}

constexpr size_t kNoNode = SIZE_MAX;

// For each value, the node that makes it.
std::vector<size_t> MakersOf(const Graph& graph) {
  std::vector<size_t> maker(graph.values.size(), kNoNode);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId id : graph.nodes[i].outputs) {
      maker[id] = i;
    }
  }
  return maker;
}

// For each value, how often nodes and the graph's outputs read it.
std::vector<size_t> CountReaders(const Graph& graph) {
  std::vector<size_t> num_readers(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) {
        ++num_readers[id];
      }
    }
  }
  for (const ValueId id : graph.outputs) {
    ++num_readers[id];
  }
  return num_readers;
}

}  // namespace

void FoldBatchNorm(Graph& graph) {
  std::vector<size_t> maker = MakersOf(graph);
  const std::vector<size_t> num_readers = CountReaders(graph);
  ConstantAdder constants(graph);
  std::vector<bool> keep(graph.nodes.size(), true);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != Op::kBatchNorm) {
      continue;
    }
    const size_t made_by = maker[node.inputs[0]];
    if (made_by == kNoNode || num_readers[node.inputs[0]] != 1) {
      continue;
    }
    const std::optional<Affine> affine = AffineOf(graph, node);
    Node& linear = graph.nodes[made_by];
    if (!affine.has_value() || !CanAbsorb(graph, linear, affine->scale.size())) {
      continue;
    }
    Absorb(graph, constants, linear, *affine);
    linear.outputs[0] = node.outputs[0];
    maker[node.outputs[0]] = made_by;
    keep[i] = false;
  }
  RemoveNodes(graph, keep);
  RemoveUnusedValues(graph);
}

void RemoveDeadCode(Graph& graph) {
  RemoveNodes(graph, LiveNodes(graph));
  RemoveUnusedValues(graph);
}

void Optimize(Graph& graph) {
  RemoveDeadCode(graph);
  FoldBatchNorm(graph);
}

}  // namespace shoji::graph
