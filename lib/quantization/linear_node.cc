// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/linear_node.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "lib/base/status_macros.h"
#include "lib/execution/plain_kernels.h"
#include "lib/quantization/byte_form.h"

namespace shoji::quantization {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;

constexpr double kMaxWeight = 127;
// A channel's scale is never so small that its bias exceeds this many units: they keep the 24 bits of float32, and
// stay far below the 2^40 of linear_layer.h.
constexpr double kMaxBiasUnits = 1073741824.0;  // 2^30

const Tensor* ConstantInput(const Graph& graph, const Node& node, size_t i) {
  return i < node.inputs.size() && node.inputs[i] != graph::kNoValue ? graph.values[node.inputs[i]].constant.get()
                                                                     : nullptr;
}
bool HasInput(const Node& node, size_t i) { return i < node.inputs.size() && node.inputs[i] != graph::kNoValue; }

LinearNode WithoutBias(const kernels::ConvGeometry& geometry, const Tensor& weights) {
  LinearNode linear;
  linear.geometry = geometry;
  linear.weights = weights.values<float>().data();
  const auto channels = static_cast<size_t>(geometry.out_channels);
  linear.per_channel = weights.num_elements() / channels;
  linear.channel_stride = linear.per_channel;
  linear.factor.assign(channels, 1);
  linear.bias.assign(channels, 0);
  return linear;
}

std::optional<LinearNode> ConvAsLinear(const Graph& graph, const Node& node) {
  const absl::StatusOr<kernels::ConvGeometry> geometry = execution::ConvGeometryOf(graph, node);
  const Tensor* weights = ConstantInput(graph, node, 1);
  const Tensor* bias = ConstantInput(graph, node, 2);
  if (!geometry.ok() || geometry->batch != 1 || weights == nullptr || (bias == nullptr && HasInput(node, 2))) {
    return std::nullopt;
  }
  LinearNode linear = WithoutBias(*geometry, *weights);
  for (size_t c = 0; bias != nullptr && c < linear.bias.size(); ++c) {
    linear.bias[c] = static_cast<double>(bias->values<float>()[c]);
  }
  return linear;
}

// [rows, in] -> [rows, out].
kernels::ConvGeometry RowGeometry(int64_t rows, int64_t in, int64_t out) {
  kernels::ConvGeometry geometry;
  geometry.in_channels = in;
  geometry.out_channels = out;
  geometry.input = {1, rows};
  geometry.output = {1, rows};
  return geometry;
}

// Weights stored [in][out].
void StoreByInput(LinearNode& linear) {
  linear.channel_stride = 1;
  linear.element_stride = static_cast<size_t>(linear.geometry.out_channels);
}

std::optional<LinearNode> GemmAsLinear(const Graph& graph, const Node& node) {
  using Operand = kernels::GemmGeometry::Operand;
  const absl::StatusOr<kernels::GemmGeometry> gemm = execution::GemmGeometryOf(graph, node);
  const Tensor* weights = ConstantInput(graph, node, 1);
  const Tensor* c = ConstantInput(graph, node, 2);
  if (!gemm.ok() || weights == nullptr || gemm->a != Operand::kPlain || (c == nullptr && HasInput(node, 2)) ||
      (c != nullptr && gemm->c_row_stride != 0 && gemm->m != 1)) {
    return std::nullopt;
  }
  LinearNode linear = WithoutBias(RowGeometry(gemm->m, gemm->k, gemm->n), *weights);
  if (gemm->b == Operand::kPlain) {
    StoreByInput(linear);
  }
  std::fill(linear.factor.begin(), linear.factor.end(), static_cast<double>(gemm->alpha));
  for (size_t i = 0; c != nullptr && i < linear.bias.size(); ++i) {
    const size_t at = i * static_cast<size_t>(gemm->c_column_stride);
    linear.bias[i] = static_cast<double>(gemm->beta) * static_cast<double>(c->values<float>()[at]);
  }
  return linear;
}

std::optional<LinearNode> MatMulAsLinear(const Graph& graph, const Node& node) {
  const Tensor* weights = ConstantInput(graph, node, 1);
  const Shape& x = graph.values[node.inputs[0]].shape;
  const Shape& y = graph.values[node.outputs[0]].shape;
  if (weights == nullptr || weights->shape().rank() != 2 || x.rank() == 0 || IsImage(x) || IsImage(y)) {
    return std::nullopt;
  }
  const int64_t in = weights->shape()[0];
  LinearNode linear =
      WithoutBias(RowGeometry(static_cast<int64_t>(x.num_elements()) / in, in, weights->shape()[1]), *weights);
  StoreByInput(linear);
  return linear;
}

absl::Status AtLayer(const std::string& name, const std::string& what) {
  return absl::InvalidArgumentError("layer " + name + ": " + what);
}

// One output channel's weights as they are quantized: with the layer's factor and the scales of the input's channels.
std::vector<double> ScaledWeights(const LinearNode& node, size_t channel, const std::vector<float>& scales) {
  std::vector<double> out(node.per_channel);
  const float* weights = node.weights + channel * node.channel_stride;
  const double factor = node.factor[channel];
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<double>(weights[i * node.element_stride]) * factor;
  }
  if (scales.empty()) {
    return out;
  }
  const auto group_size = static_cast<size_t>(node.geometry.in_channels / node.geometry.group);
  const size_t group = channel / static_cast<size_t>(node.geometry.out_channels / node.geometry.group);
  const size_t taps = out.size() / group_size;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] *= static_cast<double>(scales[group * group_size + i / taps]);
  }
  return out;
}

// The step of an output channel's weights; 0 where they, or its bias, are not finite.
double StepOf(std::span<const double> weights, double bias, double input_scale) {
  double largest = 0;
  bool finite = std::isfinite(bias);
  for (const double w : weights) {
    finite = finite && std::isfinite(w);
    largest = std::max(largest, std::abs(w));
  }
  const double step = std::max(largest / kMaxWeight, std::abs(bias) / (input_scale * kMaxBiasUnits));
  return !finite ? 0 : step > 0 ? step : 1;
}

// weights[i] = scaled[i] / scale to the nearest, ties to even: of at most kMaxWeight, as StepOf chose the scale.
void RoundWeights(std::span<const double> scaled, double scale, std::span<int8_t> weights) {
  // Added and taken away again, this leaves the nearest whole number of what is small against it; unlike
  // std::nearbyint it is no call for each weight.
  constexpr double kRounding = 0x1.8p52;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double rounded = (scaled[i] / scale + kRounding) - kRounding;
    weights[i] = static_cast<int8_t>(std::min(std::max(rounded, -kMaxWeight), kMaxWeight));
  }
}

// The exact extremes of a channel's accumulator.
void AppendExtremes(std::span<const int8_t> weights, uint8_t zero_point, LinearLayer& layer) {
  int64_t positive = 0;
  int64_t negative = 0;
  for (const int8_t w : weights) {
    positive += std::max<int64_t>(w, 0);
    negative += std::min<int64_t>(w, 0);
  }
  const int64_t least = -int64_t{zero_point};
  const int64_t most = 255 - int64_t{zero_point};
  layer.lo.push_back(positive * least + negative * most);
  layer.hi.push_back(positive * most + negative * least);
}

absl::Status ChooseRing(LinearLayer& layer) {
  int64_t widest = 0;
  for (size_t c = 0; c < layer.lo.size(); ++c) {
    widest = std::max(widest, layer.hi[c] - layer.lo[c]);
  }
  if (widest >= int64_t{1} << kernels::ring::Bits(kernels::ring::Ring::k32)) {
    return AtLayer(layer.name, "its sums span " + std::to_string(widest) +
                                   ", more than the 2^32 of the widest ring; it cannot be quantized");
  }
  const bool narrow = widest < int64_t{1} << kernels::ring::Bits(kernels::ring::Ring::k24);
  layer.ring = narrow ? kernels::ring::Ring::k24 : kernels::ring::Ring::k32;
  return absl::OkStatus();
}

}  // namespace

std::optional<LinearNode> AsLinear(const Graph& graph, const Node& node) {
  if (node.op != Op::kConv && node.op != Op::kGemm && node.op != Op::kMatMul) {
    return std::nullopt;
  }
  for (const size_t i : {size_t{0}, size_t{1}}) {
    if (graph.values[node.inputs[i]].shape.num_elements() == 0) {
      return std::nullopt;
    }
  }
  if (graph.values[node.inputs[0]].constant != nullptr || graph.values[node.outputs[0]].shape.num_elements() == 0) {
    return std::nullopt;
  }
  return node.op == Op::kConv   ? ConvAsLinear(graph, node)
         : node.op == Op::kGemm ? GemmAsLinear(graph, node)
                                : MatMulAsLinear(graph, node);
}

std::vector<double> WeightsInSteps(const LinearNode& node, const ByteTensor& input, size_t channel) {
  std::vector<double> weights = ScaledWeights(node, channel, input.scales);
  const double step = StepOf(weights, node.bias[channel], static_cast<double>(input.parameters.scale));
  for (double& w : weights) {
    w = step > 0 ? (node.factor[channel] < 0 ? -w : w) / step : 0;
  }
  return weights;
}

absl::StatusOr<LinearLayer> QuantizeLinear(const std::string& name, const LinearNode& node, const ByteTensor& input,
                                           const LinearOutput& output) {
  LinearLayer layer;
  layer.name = name;
  layer.geometry = node.geometry;
  layer.input_zero_point = input.parameters.zero_point;
  layer.quantized_output = output.form.has_value();
  if (layer.quantized_output) {
    layer.output_zero_point = output.bytes.zero_point;
    layer.output_min = output.bytes.min;
    layer.output_max = output.bytes.max;
  }
  const auto input_scale = static_cast<double>(input.parameters.scale);
  layer.weights.resize(node.factor.size() * node.per_channel);
  for (size_t c = 0; c < node.factor.size(); ++c) {
    const std::span<int8_t> weights = std::span(layer.weights).subspan(c * node.per_channel, node.per_channel);
    const std::vector<double> scaled = ScaledWeights(node, c, input.scales);
    const double scale = StepOf(scaled, node.bias[c], input_scale);
    if (scale > 0) {
      RoundWeights(scaled, scale, weights);
    }
    for (size_t i = 0; i < weights.size() && scale > 0 && !node.rounding.empty(); ++i) {
      const int added = node.rounding[c * node.per_channel + i];
      const double rounded = weights[i] + (node.factor[c] < 0 ? -added : added);
      weights[i] = static_cast<int8_t>(std::min(std::max(rounded, -kMaxWeight), kMaxWeight));
    }
    double output_scale = layer.quantized_output ? static_cast<double>(output.form->parameters.scale) : 1;
    if (layer.quantized_output && !output.form->scales.empty()) {
      output_scale *= static_cast<double>(output.form->scales[c]);
    }
    const auto multiplier = static_cast<float>(input_scale * scale / output_scale);
    if (scale == 0 || !std::isfinite(multiplier)) {
      return AtLayer(name, "its weights or bias are not finite, or too large to be quantized");
    }
    AppendExtremes(weights, layer.input_zero_point, layer);
    layer.bias.push_back(static_cast<int64_t>(std::nearbyint(node.bias[c] / (input_scale * scale))));
    layer.multiplier.push_back(multiplier);
  }
  RETURN_IF_ERROR(ChooseRing(layer));
  return layer;
}

}  // namespace shoji::quantization
