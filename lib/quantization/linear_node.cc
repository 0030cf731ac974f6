// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/linear_node.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "lib/base/bands.h"
#include "lib/base/status_macros.h"
#include "lib/execution/plain_kernels.h"
#include "lib/quantization/byte_form.h"

namespace shoji::quantization {
namespace {

using graph::Graph;
using graph::Node;
using graph::Op;

constexpr double kMaxWeight = 127;
constexpr size_t kWeightsWorthAThread = 1'000'000;
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

// The step of an output channel's weights, the largest of which has this magnitude; 0 where they, or its bias, are not
// finite.
double StepOf(double largest, double bias, double input_scale) {
  const double step = std::max(largest / kMaxWeight, std::abs(bias) / (input_scale * kMaxBiasUnits));
  return !std::isfinite(largest) || !std::isfinite(bias) ? 0 : step > 0 ? step : 1;
}

// What the layer's channels share while they are quantized, each by itself: threads take different ones.
class ChannelQuantizer {
 public:
  ChannelQuantizer(const LinearNode& node, const ByteTensor& input, const LinearOutput& output, kernels::ring::Isa isa,
                   LinearLayer& layer)
      : node_(node),
        input_scale_(static_cast<double>(input.parameters.scale)),
        input_scales_(input.scales),
        output_(output),
        kernels_(ByteKernelsFor(isa)),
        layer_(layer) {}

  // Channels [begin, end). A multiplier that is not finite tells of a channel that cannot be quantized.
  void Quantize(size_t begin, size_t end) const;

 private:
  // So many channels' weights are read together where one channel's lie apart: those of a cache line.
  static constexpr size_t kChannelsTogether = 16;

  // For each weight of a channel of `group`, its input channel's scale; empty: there are none.
  std::vector<float> ScalesOf(size_t group) const;
  // The weights of channels [begin, end), one after the other.
  void Gather(size_t begin, size_t end, std::vector<float>& weights) const;
  void QuantizeChannel(size_t channel, const float* weights, const float* scales) const;
  void AddRounding(size_t channel, std::span<int8_t> weights) const;

  const LinearNode& node_;
  const double input_scale_;
  const std::vector<float>& input_scales_;
  const LinearOutput& output_;
  const ByteKernels& kernels_;
  LinearLayer& layer_;
};

std::vector<float> ChannelQuantizer::ScalesOf(size_t group) const {
  if (input_scales_.empty()) {
    return {};
  }
  const auto group_size = static_cast<size_t>(node_.geometry.in_channels / node_.geometry.group);
  const size_t taps = node_.per_channel / group_size;
  std::vector<float> scales;
  for (size_t i = 0; i < node_.per_channel; ++i) {
    scales.push_back(input_scales_[group * group_size + i / taps]);
  }
  return scales;
}

void ChannelQuantizer::Gather(size_t begin, size_t end, std::vector<float>& weights) const {
  weights.resize((end - begin) * node_.per_channel);
  for (size_t i = 0; i < node_.per_channel; ++i) {
    const float* const from = node_.weights + i * node_.element_stride;
    for (size_t c = begin; c < end; ++c) {
      weights[(c - begin) * node_.per_channel + i] = from[c * node_.channel_stride];
    }
  }
}

void ChannelQuantizer::Quantize(size_t begin, size_t end) const {
  const auto per_group = static_cast<size_t>(node_.geometry.out_channels / node_.geometry.group);
  std::vector<float> scales;
  std::vector<float> gathered;
  for (size_t c = begin; c < end; ++c) {
    if (c == begin || c % per_group == 0) {
      scales = ScalesOf(c / per_group);
    }
    const float* weights = node_.weights + c * node_.channel_stride;
    if (node_.element_stride != 1) {
      const size_t at = (c - begin) % kChannelsTogether;
      if (at == 0) {
        Gather(c, std::min(c + kChannelsTogether, end), gathered);
      }
      weights = gathered.data() + at * node_.per_channel;
    }
    QuantizeChannel(c, weights, scales.empty() ? nullptr : scales.data());
  }
}

void ChannelQuantizer::AddRounding(size_t channel, std::span<int8_t> weights) const {
  constexpr int kMax = static_cast<int>(kMaxWeight);
  const int sign = node_.factor[channel] < 0 ? -1 : 1;
  const int8_t* const added = node_.rounding.data() + channel * node_.per_channel;
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<int8_t>(std::min(std::max(weights[i] + sign * added[i], -kMax), kMax));
  }
}

void ChannelQuantizer::QuantizeChannel(size_t channel, const float* weights, const float* scales) const {
  const double factor = node_.factor[channel];
  const std::span<int8_t> bytes = std::span(layer_.weights).subspan(channel * node_.per_channel, node_.per_channel);
  const double largest = kernels_.largest_weight(weights, scales, bytes.size(), factor);
  const double step = StepOf(largest, node_.bias[channel], input_scale_);
  if (step == 0) {
    layer_.multiplier[channel] = std::numeric_limits<float>::quiet_NaN();
    return;
  }
  kernels_.round_weights(weights, scales, bytes.size(), {factor, step}, bytes.data());
  if (!node_.rounding.empty()) {
    AddRounding(channel, bytes);
  }
  double output_scale = layer_.quantized_output ? static_cast<double>(output_.form->parameters.scale) : 1;
  if (layer_.quantized_output && !output_.form->scales.empty()) {
    output_scale *= static_cast<double>(output_.form->scales[channel]);
  }
  layer_.multiplier[channel] = static_cast<float>(input_scale_ * step / output_scale);
  layer_.bias[channel] = static_cast<int64_t>(std::nearbyint(node_.bias[channel] / (input_scale_ * step)));
  // The exact extremes of its accumulator.
  const WeightSums sums = kernels_.sum_weights(bytes.data(), bytes.size());
  const int64_t least = -int64_t{layer_.input_zero_point};
  const int64_t most = 255 - int64_t{layer_.input_zero_point};
  layer_.lo[channel] = sums.positive * least + sums.negative * most;
  layer_.hi[channel] = sums.positive * most + sums.negative * least;
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

int64_t SumOfWeights(const LinearLayer& layer, size_t channel) {
  const size_t per_channel = layer.weights.size() / layer.bias.size();
  const WeightSums sums =
      ByteKernelsFor(kernels::ring::BestIsa()).sum_weights(layer.weights.data() + channel * per_channel, per_channel);
  return sums.positive + sums.negative;
}

std::vector<double> WeightsInSteps(const LinearNode& node, const ByteTensor& input, size_t channel) {
  std::vector<double> weights = ScaledWeights(node, channel, input.scales);
  double largest = 0;
  for (const double w : weights) {
    largest = std::isfinite(w) ? std::max(largest, std::abs(w)) : std::numeric_limits<double>::infinity();
  }
  const double step = StepOf(largest, node.bias[channel], static_cast<double>(input.parameters.scale));
  for (double& w : weights) {
    w = step > 0 ? (node.factor[channel] < 0 ? -w : w) / step : 0;
  }
  return weights;
}

absl::StatusOr<LinearLayer> QuantizeLinear(const std::string& name, const LinearNode& node, const ByteTensor& input,
                                           const LinearOutput& output, const CompileOptions& options) {
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
  const size_t channels = node.factor.size();
  layer.weights.resize(channels * node.per_channel);
  layer.lo.resize(channels);
  layer.hi.resize(channels);
  layer.bias.resize(channels);
  layer.multiplier.resize(channels);
  const ChannelQuantizer quantizer(node, input, output, options.isa, layer);
  const size_t num_bands =
      NumBands(static_cast<int64_t>(channels), node.per_channel, options.num_threads, kWeightsWorthAThread);
  ForEachBand(static_cast<int64_t>(channels), num_bands, [&](size_t /*band*/, int64_t begin, int64_t end) {
    quantizer.Quantize(static_cast<size_t>(begin), static_cast<size_t>(end));
  });
  if (!std::all_of(layer.multiplier.begin(), layer.multiplier.end(), [](float m) { return std::isfinite(m); })) {
    return AtLayer(name, "its weights or bias are not finite, or too large to be quantized");
  }
  RETURN_IF_ERROR(ChooseRing(layer));
  return layer;
}

}  // namespace shoji::quantization
