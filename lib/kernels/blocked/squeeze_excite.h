// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/kernels/blocked/ops.h"

namespace shoji::kernels::blocked {

// y = x * gate, with gate = excite(W2 * squeeze(W1 * mean(x) + b1) + b2) one number a channel (Hu et al., Squeeze-and-
// Excitation Networks). Immutable and thread-safe.
class SqueezeExcite {
 public:
  // One of the two dense layers, as a 1x1 convolution states it: weights [out][in], bias [out] or empty.
  struct Layer {
    std::span<const float> weights;
    std::span<const float> bias;
    std::vector<Activation> activations;  // all known to the ops
  };
  // On [channels][cells]. `ops` must outlive it; `squeeze` and `excite` need not.
  SqueezeExcite(const Ops& ops, size_t channels, size_t cells, const Layer& squeeze, const Layer& excite);

  size_t scratch_bytes() const { return (2 * channels_ + hidden_) * sizeof(float); }
  // `y` may be `x`. `scratch` is aligned as vectors are.
  void Run(const float* x, float* y, std::span<uint8_t> scratch) const;

 private:
  // Packed [in][out]; what channels padding adds is zero.
  struct Packed {
    std::vector<float> weights;
    std::vector<float> bias;
    std::vector<Activation> activations;
  };
  static Packed Pack(const Layer& layer, size_t inputs, size_t outputs, size_t padded_inputs, size_t padded_outputs);
  void RunLayer(const Packed& layer, const float* x, size_t inputs, float* y, size_t outputs) const;

  const Ops* ops_;
  size_t cells_;
  size_t channels_;  // padded, as is the next
  size_t hidden_;
  Packed squeeze_;
  Packed excite_;
};

}  // namespace shoji::kernels::blocked
