// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/masking_ring.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>

#include "bench/onednn_layers.h"
#include "lib/base/status_macros.h"
#include "lib/kernels/ring/linear.h"

namespace shoji::bench {
namespace {

namespace ring = kernels::ring;

double ThreadMillis() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// One ring kernel with its input and memory.
class RingLayer {
 public:
  static absl::StatusOr<std::unique_ptr<RingLayer>> Create(const kernels::ConvGeometry& geometry,
                                                           const std::vector<int8_t>& weights, ring::Isa isa) {
    auto layer = std::make_unique<RingLayer>();
    ASSIGN_OR_RETURN(layer->kernel_, ring::LinearKernel::Create(geometry, weights, isa));
    layer->limbs_.resize(ring::LimbBytes(geometry, 4));
    std::mt19937 generator(7);
    for (uint8_t& byte : layer->limbs_) {
      byte = static_cast<uint8_t>(generator() >> 24);
    }
    layer->words_.resize(ring::WordsBytes(geometry, ring::Ring::k32));
    for (const size_t num_limbs : {size_t{1}, size_t{3}, size_t{4}}) {
      layer->scratch_.resize(std::max(layer->scratch_.size(), layer->kernel_->scratch_bytes(num_limbs)));
    }
    return layer;
  }

  void Run(ring::Ring r, size_t num_limbs) {
    const kernels::ConvGeometry& g = kernel_->geometry();
    const auto limbs = std::span<const uint8_t>(limbs_).first(ring::LimbBytes(g, num_limbs));
    kernel_->Run(r, {limbs, num_limbs, 0}, {0, g.output[0]}, std::span(words_).first(ring::WordsBytes(g, r)), scratch_);
  }

 private:
  std::unique_ptr<ring::LinearKernel> kernel_;
  std::vector<uint8_t> limbs_;
  std::vector<uint8_t> words_;
  std::vector<uint8_t> scratch_;
};

absl::StatusOr<LayerTimes> MeasureLayer(const NetworkLayer& layer, uint64_t seed, int rounds) {
  const std::vector<int8_t> weights = DrawWeights(layer.geometry, seed);
  LayerTimes out;
  out.name = layer.name;
  out.convolution = layer.IsConvolution();
  out.ring = RingOf(layer.geometry, weights);
  ASSIGN_OR_RETURN(const std::unique_ptr<OneDnnLayer> float32, OneDnnLayer::CreateFloat32(layer.geometry, weights));
  ASSIGN_OR_RETURN(const std::unique_ptr<OneDnnLayer> int8, OneDnnLayer::CreateInt8(layer.geometry, weights));
  ASSIGN_OR_RETURN(const std::unique_ptr<RingLayer> best, RingLayer::Create(layer.geometry, weights, ring::BestIsa()));
  const ring::Isa portable_isa = ring::IsSupported(ring::Isa::kAvx2) ? ring::Isa::kAvx2 : ring::Isa::kPortable;
  ASSIGN_OR_RETURN(const std::unique_ptr<RingLayer> portable, RingLayer::Create(layer.geometry, weights, portable_isa));
  out.onednn_kernel = float32->implementation();

  struct Kind {
    std::function<void()> run;
    double* median;
    std::vector<double> millis;
  };
  const size_t limbs = ring::WordBytes(out.ring);
  std::vector<Kind> kinds;
  kinds.push_back({[&] { float32->Run(); }, &out.times.float32, {}});
  kinds.push_back({[&] { best->Run(out.ring, limbs); }, &out.times.ring, {}});
  kinds.push_back({[&] { portable->Run(out.ring, limbs); }, &out.times.portable_ring, {}});
  kinds.push_back({[&] { best->Run(out.ring, 1); }, &out.times.int8, {}});
  kinds.push_back({[&] { int8->Run(); }, &out.times.onednn_int8, {}});
  for (int round = 0; round <= rounds; ++round) {
    for (Kind& kind : kinds) {
      const double before = ThreadMillis();
      kind.run();
      if (round > 0) {  // the first touches the memory
        kind.millis.push_back(ThreadMillis() - before);
      }
    }
  }
  for (const Kind& kind : kinds) {
    *kind.median = Median(kind.millis);
  }
  return out;
}

void Add(const LinearTimes& layer, LinearTimes& sum) {
  sum.float32 += layer.float32;
  sum.ring += layer.ring;
  sum.portable_ring += layer.portable_ring;
  sum.int8 += layer.int8;
  sum.onednn_int8 += layer.onednn_int8;
}

}  // namespace

std::vector<int8_t> DrawWeights(const kernels::ConvGeometry& geometry, uint64_t seed) {
  const auto terms = static_cast<size_t>(geometry.in_channels / geometry.group * geometry.window.kernel[0] *
                                         geometry.window.kernel[1]);
  std::mt19937 generator(static_cast<uint32_t>(seed));
  std::normal_distribution<float> gaussian;
  std::vector<int8_t> weights;
  weights.reserve(static_cast<size_t>(geometry.out_channels) * terms);
  std::vector<float> channel(terms);
  for (int64_t o = 0; o < geometry.out_channels; ++o) {
    float largest = 0;
    for (float& weight : channel) {
      weight = gaussian(generator);
      largest = std::max(largest, std::abs(weight));
    }
    for (const float weight : channel) {
      weights.push_back(static_cast<int8_t>(std::lround(127 * weight / largest)));
    }
  }
  return weights;
}

ring::Ring RingOf(const kernels::ConvGeometry& geometry, const std::vector<int8_t>& weights) {
  const size_t terms = weights.size() / static_cast<size_t>(geometry.out_channels);
  for (size_t first = 0; first < weights.size(); first += terms) {
    int64_t sum = 0;
    for (size_t i = first; i < first + terms; ++i) {
      sum += std::abs(int{weights[i]});
    }
    if (255 * sum >= int64_t{1} << ring::Bits(ring::Ring::k24)) {
      return ring::Ring::k32;
    }
  }
  return ring::Ring::k24;
}

absl::StatusOr<NetworkTimes> MeasureLinearLayers(const Network& network, int rounds,
                                                 const std::function<absl::Status()>& between) {
  NetworkTimes out;
  for (size_t i = 0; i < network.layers.size(); ++i) {
    ASSIGN_OR_RETURN(LayerTimes layer, MeasureLayer(network.layers[i], 1 + i, rounds));
    Add(layer.times, out.all);
    if (layer.convolution) {
      Add(layer.times, out.convolutions);
    }
    out.layers.push_back(std::move(layer));
    if (between) {
      RETURN_IF_ERROR(between());
    }
  }
  return out;
}

}  // namespace shoji::bench
