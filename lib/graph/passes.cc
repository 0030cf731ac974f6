// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/passes.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lib/graph/affine.h"

namespace shoji::graph {
namespace {

const Tensor* ConstantOf(const Graph& graph, ValueId id) {
  return id == kNoValue ? nullptr : graph.values[id].constant.get();
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

// The linear layer that makes `value`, if it can take `channels` factors and nothing else reads it.
Node* AbsorbingMaker(Graph& graph, const std::vector<size_t>& maker, const std::vector<size_t>& num_readers,
                     ValueId value, size_t channels) {
  if (maker[value] == kNoNode || num_readers[value] != 1) {
    return nullptr;
  }
  Node& node = graph.nodes[maker[value]];
  return CanAbsorb(graph, node, channels) ? &node : nullptr;
}

// Whether `node` is a function f with f(s * x) = s * f(x) for s > 0, once its own limits are scaled: Relu, LeakyRelu,
// and Clip where s is the same for all.
bool ScalesThrough(const Node& node, const std::vector<double>& scale) {
  const bool positive = std::all_of(scale.begin(), scale.end(), [](double s) { return s > 0; });
  const bool uniform = std::all_of(scale.begin(), scale.end(), [&](double s) { return s == scale[0]; });
  switch (node.op) {
    case Op::kRelu:
    case Op::kLeakyRelu:
      return positive;
    case Op::kClip:
      return positive && uniform;
    default:
      return false;
  }
}

// Whether all that `pad` adds is zeros around images, no more than a window's padding can be.
bool IsZeroBorder(const Graph& graph, const Node& pad) {
  const auto* attributes = std::get_if<PadAttributes>(&pad.attributes);
  if (pad.op != Op::kPad || attributes == nullptr || attributes->value != 0 || attributes->begin.size() != 4 ||
      attributes->end.size() != 4 || graph.values[pad.inputs[0]].shape.rank() != 4) {
    return false;
  }
  constexpr int64_t kMost = 64;
  for (size_t axis = 0; axis < 4; ++axis) {
    const int64_t most = axis < 2 ? 0 : kMost;
    if (attributes->begin[axis] < 0 || attributes->begin[axis] > most || attributes->end[axis] < 0 ||
        attributes->end[axis] > most) {
      return false;
    }
  }
  return true;
}

// Whether every reader of `value` is a convolution of it whose window is larger than its padding would become.
bool OnlyConvolutionsRead(const Graph& graph, ValueId value, const PadAttributes& pad) {
  if (std::find(graph.outputs.begin(), graph.outputs.end(), value) != graph.outputs.end()) {
    return false;
  }
  return std::all_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    const auto uses = std::count(node.inputs.begin(), node.inputs.end(), value);
    if (uses == 0) {
      return true;
    }
    const auto* conv = std::get_if<ConvAttributes>(&node.attributes);
    if (uses != 1 || node.op != Op::kConv || conv == nullptr || node.inputs[0] != value) {
      return false;
    }
    for (size_t axis = 0; axis < 2; ++axis) {
      const int64_t span = (conv->kernel[axis] - 1) * conv->dilations[axis] + 1;
      if (conv->pads[axis] + pad.begin[axis + 2] >= span || conv->pads[axis + 2] + pad.end[axis + 2] >= span) {
        return false;
      }
    }
    return true;
  });
}

}  // namespace

void FoldAffine(Graph& graph) {
  std::vector<size_t> maker = MakersOf(graph);
  const std::vector<size_t> num_readers = CountReaders(graph);
  ConstantAdder constants(graph);
  std::vector<bool> keep(graph.nodes.size(), true);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const std::optional<Affine> affine = AffineOf(graph, node, kChannelAxis);
    if (!affine.has_value()) {
      continue;
    }
    const ValueId x = node.inputs[affine->input];
    Node* linear = AbsorbingMaker(graph, maker, num_readers, x, affine->scale.size());
    if (linear != nullptr) {
      Absorb(graph, constants, *linear, *affine);
      linear->outputs[0] = node.outputs[0];
      maker[node.outputs[0]] = maker[x];
      keep[i] = false;
    }
  }
  RemoveNodes(graph, keep);
  RemoveUnusedValues(graph);
}

void ScaleBeforeActivations(Graph& graph) {
  std::vector<size_t> maker = MakersOf(graph);
  const std::vector<size_t> num_readers = CountReaders(graph);
  ConstantAdder constants(graph);
  std::vector<bool> keep(graph.nodes.size(), true);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const std::optional<Affine> affine = AffineOf(graph, node, kChannelAxis);
    if (!affine.has_value() ||
        std::any_of(affine->shift.begin(), affine->shift.end(), [](double s) { return s != 0; })) {
      continue;
    }
    const ValueId x = node.inputs[affine->input];
    if (maker[x] == kNoNode || num_readers[x] != 1 || !ScalesThrough(graph.nodes[maker[x]], affine->scale)) {
      continue;
    }
    Node& activation = graph.nodes[maker[x]];
    Node* linear = AbsorbingMaker(graph, maker, num_readers, activation.inputs[0], affine->scale.size());
    if (linear != nullptr) {
      Absorb(graph, constants, *linear, *affine);
      if (auto* limits = std::get_if<FloatAttributes>(&activation.attributes);
          limits != nullptr && activation.op == Op::kClip) {
        limits->alpha = static_cast<float>(static_cast<double>(limits->alpha) * affine->scale[0]);
        limits->beta = static_cast<float>(static_cast<double>(limits->beta) * affine->scale[0]);
      }
      activation.outputs[0] = node.outputs[0];
      maker[node.outputs[0]] = maker[x];
      keep[i] = false;
    }
  }
  RemoveNodes(graph, keep);
  RemoveUnusedValues(graph);
}

void FoldPads(Graph& graph) {
  std::vector<bool> keep(graph.nodes.size(), true);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& pad = graph.nodes[i];
    if (!IsZeroBorder(graph, pad)) {
      continue;
    }
    const auto& border = std::get<PadAttributes>(pad.attributes);
    const ValueId padded = pad.outputs[0];
    if (!OnlyConvolutionsRead(graph, padded, border)) {
      continue;
    }
    for (Node& node : graph.nodes) {
      if (!node.inputs.empty() && node.inputs[0] == padded) {
        auto& pads = std::get<ConvAttributes>(node.attributes).pads;
        for (size_t axis = 0; axis < 2; ++axis) {
          pads[axis] += border.begin[axis + 2];
          pads[axis + 2] += border.end[axis + 2];
        }
        node.inputs[0] = pad.inputs[0];
      }
    }
    keep[i] = false;
  }
  RemoveNodes(graph, keep);
  RemoveUnusedValues(graph);
}

void RemoveDeadCode(Graph& graph) {
  RemoveNodes(graph, LiveNodes(graph));
  RemoveUnusedValues(graph);
}

void Fold(Graph& graph) {
  RemoveDeadCode(graph);
  FoldPads(graph);
  FoldAffine(graph);
}

void Optimize(Graph& graph) {
  Fold(graph);
  ScaleBeforeActivations(graph);
}

}  // namespace shoji::graph
