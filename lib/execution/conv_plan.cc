// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/execution/conv_plan.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "lib/execution/plain_kernels.h"
#include "lib/kernels/blocked/convolution.h"
#include "lib/kernels/geometry.h"

namespace shoji::execution {
namespace {

using graph::Graph;
using graph::Node;
using kernels::ConvGeometry;
using kernels::blocked::Ops;
using kernels::blocked::WinogradConvolution;

// Costs are in products of a direct convolution that keeps the CPU busy, fitted to measurements on one core.
constexpr double kElementCost = 22;    // to transform one element of the input, or of the output
constexpr double kNearWeightCost = 2;  // to fetch one transformed weight from a cache,
constexpr double kFarWeightCost = 8;   // or from memory
constexpr double kNearWeights = 4 << 20;
constexpr double kLeastGain = 0.1;
constexpr double kGrowth = 1.0 / 8;
constexpr double kLeastGrowth = 8 << 20;  // elements

struct Choice {
  ConvForm form = ConvForm::kDirect;
  double cost = 0;
  double growth = 0;  // elements
};

// A convolution and its forms, the best first, the direct one last.
struct Candidate {
  size_t node = 0;
  std::vector<Choice> choices;
};

double Weights(const ConvGeometry& g) {
  const int64_t in_channels = g.in_channels / g.group;
  return static_cast<double>(in_channels * g.out_channels * g.window.kernel[0] * g.window.kernel[1]);
}

double Products(const ConvGeometry& g) { return Weights(g) * static_cast<double>(g.output[0] * g.output[1]); }

Choice Winograd(const ConvGeometry& g, ConvForm form, int64_t tile) {
  const auto cells = static_cast<double>((tile + 2) * (tile + 2));
  const int64_t rows = (g.output[0] + tile - 1) / tile;
  const int64_t columns = (g.output[1] + tile - 1) / tile;
  const auto tiles = static_cast<double>(rows * columns);
  const auto pairs = static_cast<double>(g.in_channels * g.out_channels);
  const auto elements = static_cast<double>(g.in_channels * g.input[0] * g.input[1] +  //
                                            g.out_channels * g.output[0] * g.output[1]);
  const double weights = pairs * cells;
  Choice choice;
  choice.form = form;
  choice.cost =
      tiles * weights + elements * kElementCost + weights * (weights > kNearWeights ? kFarWeightCost : kNearWeightCost);
  choice.growth = weights - Weights(g);
  return choice;
}

std::vector<Choice> ChoicesOf(const Ops* ops, const ConvGeometry& g) {
  const double products = Products(g);
  std::vector<Choice> choices = {{ConvForm::kDirect, products, 0}};
  if (ops != nullptr && WinogradConvolution::Create(*ops, g, 2).has_value()) {
    for (const Choice& choice : {Winograd(g, ConvForm::kWinograd2, 2), Winograd(g, ConvForm::kWinograd4, 4)}) {
      if (choice.cost < (1 - kLeastGain) * products) {
        choices.push_back(choice);
      }
    }
  }
  std::stable_sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) { return a.cost < b.cost; });
  // What costs more and is larger, too, is never of use.
  std::vector<Choice> useful;
  for (const Choice& choice : choices) {
    if (useful.empty() || choice.growth < useful.back().growth) {
      useful.push_back(choice);
    }
  }
  return useful;
}

// Gives up the best forms, those first that save the least time for their memory, until all weights fit.
void KeepWithin(double most, std::vector<Candidate>& candidates) {
  double growth = 0;
  for (const Candidate& candidate : candidates) {
    growth += candidate.choices[0].growth;
  }
  while (growth > most) {
    Candidate* cheapest = nullptr;
    double least_loss = 0;
    for (Candidate& candidate : candidates) {
      if (candidate.choices.size() > 1) {
        const Choice& now = candidate.choices[0];
        const Choice& next = candidate.choices[1];
        const double loss = (next.cost - now.cost) / (now.growth - next.growth);
        if (cheapest == nullptr || loss < least_loss) {
          cheapest = &candidate;
          least_loss = loss;
        }
      }
    }
    if (cheapest == nullptr) {
      return;
    }
    growth -= cheapest->choices[0].growth - cheapest->choices[1].growth;
    cheapest->choices.erase(cheapest->choices.begin());
  }
}

std::vector<Candidate> CandidatesOf(const Ops* ops, const Graph& graph) {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.op != graph::Op::kConv || graph.values[node.inputs[1]].constant == nullptr) {
      continue;
    }
    const absl::StatusOr<ConvGeometry> geometry = ConvGeometryOf(graph, node);
    if (geometry.ok()) {
      candidates.push_back({i, ChoicesOf(ops, *geometry)});
    }
  }
  return candidates;
}

double ConstantElements(const Graph& graph) {
  double elements = 0;
  for (const graph::Value& value : graph.values) {
    elements += value.constant == nullptr ? 0 : static_cast<double>(value.shape.num_elements());
  }
  return elements;
}

}  // namespace

std::vector<ConvForm> PlanConvolutions(const Ops* ops, const Graph& graph) {
  std::vector<Candidate> candidates = CandidatesOf(ops, graph);
  KeepWithin(std::max(kGrowth * ConstantElements(graph), kLeastGrowth), candidates);
  std::vector<ConvForm> forms(graph.nodes.size(), ConvForm::kDirect);
  for (const Candidate& candidate : candidates) {
    forms[candidate.node] = candidate.choices[0].form;
  }
  return forms;
}

}  // namespace shoji::execution
