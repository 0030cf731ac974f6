// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the linear layers of a network cost: float32 with oneDNN, over the rings with the ring kernels (the best of this
// CPU, and the portable source compiled for AVX2), and on one limb as the enclave's int8 layers.
//
// One thread, one image. Weights are Gaussian from a seed, quantized to int8 by output channel; a layer's ring is 2^24
// where 255 * sum |w| stays below 2^24 in every channel, else 2^32. Layer by layer all kinds take turns, `rounds`
// times, each timed with the CPU time of the thread; of each the median counts, and a network's time is the sum over
// its layers. oneDNN gets weights and activations in the layouts that it prefers, prepared before.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/network_shapes.h"
#include "lib/kernels/ring/layout.h"

namespace shoji::bench {

// Milliseconds.
struct LinearTimes {
  double float32 = 0;        // oneDNN
  double ring = 0;           // masked input, all limbs of the layer's ring
  double portable_ring = 0;  // the same with Isa::kAvx2 (Isa::kPortable where there is no AVX2)
  double int8 = 0;           // ring kernel on one limb
  double onednn_int8 = 0;    // u8 * s8 -> s32
};

struct LayerTimes {
  std::string name;
  kernels::ring::Ring ring = kernels::ring::Ring::k32;
  bool convolution = true;
  std::string onednn_kernel;  // for float32
  LinearTimes times;
};

struct NetworkTimes {
  std::vector<LayerTimes> layers;
  LinearTimes convolutions;  // without dense layers
  LinearTimes all;
};

// After every layer calls `between`, if there is one: for what is to be measured in the same minutes.
absl::StatusOr<NetworkTimes> MeasureLinearLayers(const Network& network, int rounds,
                                                 const std::function<absl::Status()>& between = nullptr);

// Gaussian, quantized to int8 by output channel so that the largest is 127: [out][in / group][kernel].
std::vector<int8_t> DrawWeights(const kernels::ConvGeometry& geometry, uint64_t seed);
// By the rule above.
kernels::ring::Ring RingOf(const kernels::ConvGeometry& geometry, const std::vector<int8_t>& weights);

}  // namespace shoji::bench
