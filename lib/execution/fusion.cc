// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/fusion.h"

#include <cmath>
#include <variant>

namespace shoji::execution {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;
using graph::ValueId;
using kernels::Activation;

constexpr size_t kMaxActivations = 4;

// x * sigmoid(x) and x * hard_sigmoid(x), where the sigmoid is `gate`, are one function each.
std::optional<Activation> GatedActivation(const Node& gate) {
  const std::optional<Activation> activation = ActivationOf(gate);
  if (!activation.has_value()) {
    return std::nullopt;
  }
  if (activation->kind == Activation::Kind::kSigmoid) {
    return Activation{Activation::Kind::kSwish};
  }
  if (activation->kind == Activation::Kind::kHardSigmoid && std::abs(activation->alpha - 1.0F / 6) < 1e-6F &&
      activation->beta == 0.5F) {
    return Activation{Activation::Kind::kHardSwish};
  }
  return std::nullopt;
}

Chain Absorb(Chain chain, const Activation& activation, std::vector<size_t> nodes, ValueId output) {
  chain.activations.push_back(activation);
  chain.absorbed.insert(chain.absorbed.end(), nodes.begin(), nodes.end());
  chain.output = output;
  return chain;
}

std::optional<Chain> ExtendByGate(const Graph& graph, const UseTable& uses, const Chain& chain, size_t gate_index,
                                  size_t mul_index) {
  const Node& gate = graph.nodes[gate_index];
  const Node& mul = graph.nodes[mul_index];
  const std::optional<Activation> activation = GatedActivation(gate);
  if (!activation.has_value() || mul.op != Op::kMul || mul.inputs.size() != 2 || uses.is_output(gate.outputs[0]) ||
      uses.readers(gate.outputs[0]).size() != 1) {
    return std::nullopt;
  }
  const ValueId gated = gate.outputs[0];
  const bool multiplies = (mul.inputs[0] == chain.output && mul.inputs[1] == gated) ||
                          (mul.inputs[1] == chain.output && mul.inputs[0] == gated);
  if (!multiplies) {
    return std::nullopt;
  }
  return Absorb(chain, *activation, {gate_index, mul_index}, mul.outputs[0]);
}

std::optional<Chain> ExtendByResidual(const Graph& graph, const Chain& chain, size_t add_index) {
  const Node& add = graph.nodes[add_index];
  if (chain.residual != graph::kNoValue || !chain.activations.empty() || add.inputs.size() != 2) {
    return std::nullopt;
  }
  const ValueId other = add.inputs[0] == chain.output ? add.inputs[1] : add.inputs[0];
  const Shape& shape = graph.values[chain.output].shape;
  if (other == chain.output || graph.values[other].shape != shape || graph.values[add.outputs[0]].shape != shape) {
    return std::nullopt;
  }
  Chain out = chain;
  out.residual = other;
  out.absorbed.push_back(add_index);
  out.output = add.outputs[0];
  return out;
}

}  // namespace

UseTable::UseTable(const Graph& graph) : readers_(graph.values.size()), is_output_(graph.values.size()) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const ValueId input : graph.nodes[i].inputs) {
      if (input != graph::kNoValue) {
        readers_[input].push_back(i);
      }
    }
  }
  for (const ValueId output : graph.outputs) {
    is_output_[output] = true;
  }
}

std::optional<Chain> ExtendChain(const Graph& graph, const UseTable& uses, const Chain& chain) {
  const std::vector<size_t>& readers = uses.readers(chain.output);
  if (uses.is_output(chain.output) || chain.activations.size() >= kMaxActivations) {
    return std::nullopt;
  }
  if (readers.size() == 2) {
    return ExtendByGate(graph, uses, chain, readers[0], readers[1]);
  }
  if (readers.size() != 1) {
    return std::nullopt;
  }
  const Node& reader = graph.nodes[readers[0]];
  if (const std::optional<Activation> activation = ActivationOf(reader)) {
    return Absorb(chain, *activation, {readers[0]}, reader.outputs[0]);
  }
  return reader.op == Op::kAdd ? ExtendByResidual(graph, chain, readers[0]) : std::nullopt;
}

}  // namespace shoji::execution
