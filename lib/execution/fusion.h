// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Which nodes can run as part of the linear layer before them.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "lib/graph/graph.h"
#include "lib/kernels/activation.h"

namespace shoji::execution {

// Who reads each value. Valid as long as the graph is unchanged. Thread-compatible.
class UseTable {
 public:
  explicit UseTable(const graph::Graph& graph);

  // The nodes that read `value`, ascending, one entry a use.
  const std::vector<size_t>& readers(graph::ValueId value) const { return readers_[value]; }
  bool is_output(graph::ValueId value) const { return is_output_[value]; }

 private:
  std::vector<std::vector<size_t>> readers_;
  std::vector<bool> is_output_;
};

// The activation that `node` is; none for other operators or malformed attributes.
std::optional<kernels::Activation> ActivationOf(const graph::Node& node);

// What follows a linear node and can be computed on its result before that is stored: first the sum with a residual,
// then activations.
struct Chain {
  graph::ValueId residual = graph::kNoValue;
  std::vector<kernels::Activation> activations;
  std::vector<size_t> absorbed;  // nodes that the chain stands for
  graph::ValueId output = graph::kNoValue;
};

enum class Residuals { kNone, kAllowed };

// The longest chain after node `first`. `is_ready(value)` tells whether a residual is computed before that node runs.
template <typename IsReady>
Chain FindChain(const graph::Graph& graph, const UseTable& uses, size_t first, Residuals residuals,
                const IsReady& is_ready);

// One link: what absorbing the readers of `chain.output` would give.
std::optional<Chain> ExtendChain(const graph::Graph& graph, const UseTable& uses, const Chain& chain);

template <typename IsReady>
Chain FindChain(const graph::Graph& graph, const UseTable& uses, size_t first, Residuals residuals,
                const IsReady& is_ready) {
  Chain chain;
  chain.output = graph.nodes[first].outputs[0];
  while (true) {
    std::optional<Chain> longer = ExtendChain(graph, uses, chain);
    if (!longer.has_value()) {
      return chain;
    }
    const bool adds_residual = longer->residual != chain.residual;
    if (adds_residual && (residuals == Residuals::kNone || !is_ready(longer->residual))) {
      return chain;
    }
    chain = *std::move(longer);
  }
}

}  // namespace shoji::execution
