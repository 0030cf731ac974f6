// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/affine.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <variant>

namespace shoji::graph {
namespace {

const Tensor* ConstantOf(const Graph& graph, ValueId id) {
  return id == kNoValue ? nullptr : graph.values[id].constant.get();
}

std::optional<Affine> BatchNormAsAffine(const Graph& graph, const Node& node) {
  std::span<const float> parameters[4];
  for (size_t i = 0; i < 4; ++i) {
    const Tensor* constant = ConstantOf(graph, node.inputs[i + 1]);
    if (constant == nullptr) {
      return std::nullopt;
    }
    parameters[i] = constant->values<float>();
  }
  const auto epsilon = static_cast<double>(std::get<BatchNormAttributes>(node.attributes).epsilon);
  const auto [scale, bias, mean, variance] = parameters;
  Affine affine;
  for (size_t c = 0; c < scale.size(); ++c) {
    const double s = static_cast<double>(scale[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    affine.scale.push_back(s);
    affine.shift.push_back(static_cast<double>(bias[c]) - static_cast<double>(mean[c]) * s);
  }
  return affine;
}

// The values of a constant that broadcasts to `y` along no axis but `axis`, one a channel.
std::optional<std::vector<double>> PerChannel(const Tensor& constant, const Shape& y, size_t axis) {
  const Shape& shape = constant.shape();
  if (constant.type() != DataType::kFloat32 || axis >= y.rank() || shape.rank() > y.rank()) {
    return std::nullopt;
  }
  for (size_t i = 0; i < shape.rank(); ++i) {
    const size_t at = i + y.rank() - shape.rank();
    if (shape[i] != 1 && (at != axis || shape[i] != y[at])) {
      return std::nullopt;
    }
  }
  const std::span<const float> values = constant.values<float>();
  if (values.empty()) {
    return std::nullopt;
  }
  std::vector<double> out(static_cast<size_t>(y[axis]));
  for (size_t c = 0; c < out.size(); ++c) {
    out[c] = static_cast<double>(values[values.size() == 1 ? 0 : c]);
  }
  return out;
}

std::optional<Affine> PairAsAffine(const Graph& graph, const Node& node, size_t axis) {
  const bool left = ConstantOf(graph, node.inputs[0]) != nullptr;
  const bool right = ConstantOf(graph, node.inputs[1]) != nullptr;
  if (left == right || (left && node.op == Op::kDiv)) {
    return std::nullopt;
  }
  Affine affine;
  affine.input = left ? 1 : 0;
  const Shape& y = graph.values[node.outputs[0]].shape;
  if (!(graph.values[node.inputs[affine.input]].shape == y)) {
    return std::nullopt;
  }
  const std::optional<std::vector<double>> constant =
      PerChannel(*ConstantOf(graph, node.inputs[left ? 0 : 1]), y, axis);
  if (!constant.has_value()) {
    return std::nullopt;
  }
  for (const double value : *constant) {
    const bool scales = node.op == Op::kMul || node.op == Op::kDiv;
    affine.scale.push_back(node.op == Op::kMul             ? value
                           : node.op == Op::kDiv           ? 1 / value
                           : (node.op == Op::kSub && left) ? -1.0
                                                           : 1.0);
    affine.shift.push_back(scales ? 0.0 : (node.op == Op::kSub && !left) ? -value : value);
  }
  return affine;
}

}  // namespace

std::optional<Affine> AffineOf(const Graph& graph, const Node& node, size_t axis) {
  std::optional<Affine> affine;
  switch (node.op) {
    case Op::kBatchNorm:
      affine = axis == kChannelAxis ? BatchNormAsAffine(graph, node) : std::nullopt;
      break;
    case Op::kAdd:
    case Op::kSub:
    case Op::kMul:
    case Op::kDiv:
      affine = PairAsAffine(graph, node, axis);
      break;
    default:
      break;
  }
  const auto is_finite = [](double value) { return std::isfinite(value); };
  if (affine.has_value() && std::all_of(affine->scale.begin(), affine->scale.end(), is_finite) &&
      std::all_of(affine->shift.begin(), affine->shift.end(), is_finite)) {
    return affine;
  }
  return std::nullopt;
}

}  // namespace shoji::graph
