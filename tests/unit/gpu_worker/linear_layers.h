// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Linear layers as an enclave uploads them, and what they compute, by plain loops. For tests only.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gpu_worker/ring_layer.h"
#include "lib/base/bytes.h"
#include "lib/kernels/ring/layout.h"
#include "shoji/internal/v1/accelerator.pb.h"

namespace shoji::accelerator::testing {

// 3x3, 5 to 7 channels, 6x4 to 3x4 positions, on four limbs; with weights that repeat 0, 1, .. 250 less 125.
inline internal::v1::LinearLayer SmallLayer() {
  internal::v1::LinearLayer layer;
  layer.set_ring_bits(32);
  layer.set_num_limbs(4);
  layer.set_in_channels(5);
  layer.set_out_channels(7);
  layer.set_group(1);
  layer.set_in_height(6);
  layer.set_in_width(4);
  layer.set_out_height(3);
  layer.set_out_width(4);
  for (const uint64_t extent : {3U, 3U}) {
    layer.add_kernel(extent);
  }
  for (const uint64_t stride : {2U, 1U}) {
    layer.add_strides(stride);
  }
  for (const uint64_t dilation : {1U, 1U}) {
    layer.add_dilations(dilation);
  }
  for (const uint64_t pad : {1U, 1U, 1U, 1U}) {
    layer.add_pads(pad);
  }
  std::string weights(7 * 5 * 3 * 3, '\0');
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<char>(static_cast<int>(i % 251) - 125);
  }
  layer.set_weights(weights);
  return layer;
}

// The same on values in the clear, with a border of 17.
inline internal::v1::LinearLayer ClearLayer() {
  internal::v1::LinearLayer layer = SmallLayer();
  layer.set_ring_bits(24);
  layer.set_num_limbs(1);
  layer.set_padding(17);
  return layer;
}

// One output row of 16 channels from one input row, `width` positions: a Gemm.
inline internal::v1::LinearLayer DenseLayer(uint64_t width) {
  internal::v1::LinearLayer layer = SmallLayer();
  layer.set_ring_bits(24);
  layer.set_num_limbs(3);
  layer.set_in_channels(8);
  layer.set_out_channels(16);
  layer.set_in_height(1);
  layer.set_out_height(1);
  layer.set_in_width(width);
  layer.set_out_width(width);
  layer.mutable_kernel()->Set(0, 1);
  layer.mutable_kernel()->Set(1, 1);
  layer.mutable_strides()->Set(0, 1);
  for (int i = 0; i < 4; ++i) {
    layer.mutable_pads()->Set(i, 0);
  }
  layer.set_weights(layer.weights().substr(0, 8 * 16));
  return layer;
}

// What a RingLayer's input is made of: limbs of random ring elements, anything in the padding.
inline Bytes RandomLimbs(const RingLayer& layer, uint32_t seed) {
  std::minstd_rand random(seed);
  Bytes out(layer.InputShape().num_elements());
  for (uint8_t& byte : out) {
    byte = static_cast<uint8_t>(random() >> 8);
  }
  return out;
}

// The ring element, or value, at one position of the input; the layer's padding outside of it.
inline uint32_t ElementAt(const RingLayer& layer, ByteSpan limbs, int64_t row, int64_t column, int64_t channel) {
  const kernels::ConvGeometry& g = layer.geometry;
  if (row < 0 || row >= g.input[0] || column < 0 || column >= g.input[1]) {
    return layer.padding;
  }
  const size_t plane = kernels::ring::PlaneBytes(g.input[1], g.in_channels);
  uint32_t element = 0;
  for (size_t limb = 0; limb < layer.num_limbs; ++limb) {
    const size_t at = (static_cast<size_t>(row) * layer.num_limbs + limb) * plane +
                      static_cast<size_t>(column) * kernels::ring::PaddedChannels(g.in_channels) +
                      static_cast<size_t>(channel);
    element |= static_cast<uint32_t>(limbs[at]) << (8 * limb);
  }
  return element;
}

inline Bytes ReferenceWords(const RingLayer& layer, ByteSpan limbs) {
  const kernels::ConvGeometry& g = layer.geometry;
  const int64_t inputs = g.in_channels / g.group;
  const int64_t outputs = g.out_channels / g.group;
  const size_t word = kernels::ring::WordBytes(layer.ring);
  Bytes out(layer.OutputShape().num_elements());
  for (int64_t y = 0; y < g.output[0]; ++y) {
    for (int64_t x = 0; x < g.output[1]; ++x) {
      for (int64_t o = 0; o < g.out_channels; ++o) {
        uint32_t sum = 0;
        size_t weight = static_cast<size_t>(o * inputs * g.window.kernel[0] * g.window.kernel[1]);
        for (int64_t i = 0; i < inputs; ++i) {
          for (int64_t r = 0; r < g.window.kernel[0]; ++r) {
            for (int64_t c = 0; c < g.window.kernel[1]; ++c) {
              const int64_t row = y * g.window.strides[0] - g.window.pads[0] + r * g.window.dilations[0];
              const int64_t column = x * g.window.strides[1] - g.window.pads[1] + c * g.window.dilations[1];
              const uint32_t element = ElementAt(layer, limbs, row, column, o / outputs * inputs + i);
              sum += element * static_cast<uint32_t>(int32_t{layer.weights()[weight++]});
            }
          }
        }
        const size_t at =
            static_cast<size_t>(y) * kernels::ring::WordRowBytes(g, layer.ring) +
            (static_cast<size_t>(x) * kernels::ring::PaddedChannels(g.out_channels) + static_cast<size_t>(o)) * word;
        for (size_t byte = 0; byte < word; ++byte) {
          out[at + byte] = static_cast<uint8_t>(sum >> (8 * byte));
        }
      }
    }
  }
  return out;
}

}  // namespace shoji::accelerator::testing
