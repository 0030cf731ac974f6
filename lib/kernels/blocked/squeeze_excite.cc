// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/blocked/squeeze_excite.h"

#include "lib/base/check.h"

namespace shoji::kernels::blocked {

SqueezeExcite::SqueezeExcite(const Ops& ops, size_t channels, size_t cells, const Layer& squeeze, const Layer& excite)
    : ops_(&ops), cells_(cells) {
  const auto padded = [&](size_t count) { return (count + ops.lanes - 1) / ops.lanes * ops.lanes; };
  const size_t hidden = squeeze.weights.size() / channels;
  channels_ = padded(channels);
  hidden_ = padded(hidden);
  squeeze_ = Pack(squeeze, channels, hidden, channels_, hidden_);
  excite_ = Pack(excite, hidden, channels, hidden_, channels_);
}

SqueezeExcite::Packed SqueezeExcite::Pack(const Layer& layer, size_t inputs, size_t outputs, size_t padded_inputs,
                                          size_t padded_outputs) {
  SHOJI_CHECK(layer.weights.size() == inputs * outputs && (layer.bias.empty() || layer.bias.size() == outputs));
  Packed out;
  out.weights.resize(padded_inputs * padded_outputs);
  out.bias.resize(padded_outputs);
  for (size_t o = 0; o < outputs; ++o) {
    out.bias[o] = layer.bias.empty() ? 0 : layer.bias[o];
    for (size_t i = 0; i < inputs; ++i) {
      out.weights[i * padded_outputs + o] = layer.weights[o * inputs + i];
    }
  }
  out.activations = layer.activations;
  return out;
}

void SqueezeExcite::RunLayer(const Packed& layer, const float* x, size_t inputs, float* y, size_t outputs) const {
  RowArgs args;
  args.inputs = inputs;
  args.outputs = outputs;
  args.x = x;
  args.weights = layer.weights.data();
  args.finish = {layer.bias.data(), nullptr, layer.activations.data(), layer.activations.size()};
  args.y = y;
  ops_->row(args);
}

void SqueezeExcite::Run(const float* x, float* y, std::span<uint8_t> scratch) const {
  SHOJI_CHECK(scratch.size() >= scratch_bytes());
  auto* mean = reinterpret_cast<float*>(scratch.data());
  float* gate = mean + channels_;
  float* hidden = gate + channels_;
  const size_t blocks = channels_ / ops_->lanes;
  ops_->mean({blocks, cells_, 1.0F / static_cast<float>(cells_), x, mean});
  // Padded inputs meet weights of zero.
  RunLayer(squeeze_, mean, channels_, hidden, hidden_);
  RunLayer(excite_, hidden, hidden_, gate, channels_);
  // What padded channels hold is zero, and stays so.
  ops_->scale({blocks, cells_, x, gate, y});
}

}  // namespace shoji::kernels::blocked
