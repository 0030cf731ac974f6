// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/enclave_worker/core/masking/masked_run.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace shoji::enclave {
namespace {

using kernels::ring::ActivationRowBytes;
using kernels::ring::LimbRowBytes;
using kernels::ring::PaddedChannels;
using kernels::ring::PlaneBytes;
using kernels::ring::WordBytes;
using kernels::ring::WordRowBytes;
using quantization::LinearLayer;

std::vector<uint8_t> WordsOf(const LinearLayer& layer, const std::vector<uint32_t>& elements) {
  const kernels::ConvGeometry& g = layer.geometry;
  const size_t word_bytes = WordBytes(layer.ring);
  const auto channels = static_cast<size_t>(g.out_channels);
  std::vector<uint8_t> words(kernels::ring::WordsBytes(g, layer.ring));
  for (size_t i = 0; i < elements.size(); ++i) {
    const size_t at = (i / channels * PaddedChannels(g.out_channels) + i % channels) * word_bytes;
    for (size_t b = 0; b < word_bytes; ++b) {
      words[at + b] = static_cast<uint8_t>(elements[i] >> (8 * b));
    }
  }
  return words;
}

uint8_t Definition(const LinearLayer& layer, float y) {
  const float bounded = std::min(std::max(y, -16777216.0F), 16777216.0F);
  const int rounded = static_cast<int>(std::nearbyint(bounded)) + layer.output_zero_point;
  return static_cast<uint8_t>(std::min<int>(std::max<int>(rounded, layer.output_min), layer.output_max));
}

}  // namespace

PadKey TestKey(uint8_t fill, KeystreamKind kind) {
  std::array<uint8_t, 32> bytes = {};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(fill + 7 * i);
  }
  return PadKey::FromBytes(bytes, kind);
}

std::vector<CodecIsa> CodecIsas() {
  std::vector<CodecIsa> isas = {CodecIsa::kPortable};
  if (IsSupported(CodecIsa::kAvx512)) {
    isas.push_back(CodecIsa::kAvx512);
  }
  return isas;
}

std::vector<KeystreamKind> KeystreamKinds() {
  std::vector<KeystreamKind> kinds = {KeystreamKind::kOpenSsl};
  if (IsSupported(KeystreamKind::kVaes)) {
    kinds.push_back(KeystreamKind::kVaes);
  }
  return kinds;
}

std::vector<uint8_t> MaskAll(const LayerCodec& codec, const PadKey& key, uint64_t index, std::span<const uint8_t> q) {
  const kernels::ConvGeometry& g = codec.layer().geometry;
  const size_t row = LimbRowBytes(g, WordBytes(codec.layer().ring));
  std::vector<uint8_t> limbs(row * static_cast<size_t>(g.input[0]));
  for (int64_t h = 0; h < g.input[0]; ++h) {
    codec.MaskRow(key, index, h, RowOfActivations(codec.layer(), q, h),
                  std::span(limbs).subspan(static_cast<size_t>(h) * row, row));
  }
  return limbs;
}

std::vector<uint8_t> RandomAll(const LayerCodec& codec, const PadKey& key, uint64_t index) {
  const kernels::ConvGeometry& g = codec.layer().geometry;
  const size_t row = LimbRowBytes(g, WordBytes(codec.layer().ring));
  std::vector<uint8_t> limbs(row * static_cast<size_t>(g.input[0]));
  for (int64_t h = 0; h < g.input[0]; ++h) {
    codec.RandomRow(key, index, h, std::span(limbs).subspan(static_cast<size_t>(h) * row, row));
  }
  return limbs;
}

uint32_t ElementAt(const LinearLayer& layer, std::span<const uint8_t> limbs, int64_t channel, int64_t row,
                   int64_t column) {
  const kernels::ConvGeometry& g = layer.geometry;
  const size_t num_limbs = WordBytes(layer.ring);
  const size_t at = static_cast<size_t>(row) * LimbRowBytes(g, num_limbs) +
                    static_cast<size_t>(column) * PaddedChannels(g.in_channels) + static_cast<size_t>(channel);
  uint32_t element = 0;
  for (size_t l = 0; l < num_limbs; ++l) {
    element |= static_cast<uint32_t>(limbs[at + l * PlaneBytes(g.input[1], g.in_channels)]) << (8 * l);
  }
  return element;
}

std::vector<uint8_t> Answer(const LinearLayer& layer, std::span<const uint8_t> limbs) {
  return WordsOf(layer, Convolve<uint32_t>(
                            layer, [&](int64_t c, int64_t h, int64_t w) { return ElementAt(layer, limbs, c, h, w); }));
}

std::vector<uint8_t> AnswerInClear(const LinearLayer& layer, std::span<const uint8_t> q) {
  // sum w q with z at padded positions = sum w (q - z), with nothing there, + z sum w.
  const kernels::ConvGeometry& g = layer.geometry;
  const auto channels = static_cast<size_t>(g.out_channels);
  const size_t row = layer.weights.size() / channels;
  std::vector<uint32_t> elements;
  for (const int64_t a : Accumulators(layer, q)) {
    int64_t sum = 0;
    const size_t c = elements.size() % channels;
    for (size_t i = 0; i < row; ++i) {
      sum += layer.weights[c * row + i];
    }
    elements.push_back(static_cast<uint32_t>(a + layer.input_zero_point * sum));
  }
  return WordsOf(layer, elements);
}

Unmasked UnmaskAll(const LayerCodec& codec, std::span<const uint8_t> words, std::span<const uint8_t> pad,
                   OutputSum* check) {
  const LinearLayer& layer = codec.layer();
  const kernels::ConvGeometry& g = layer.geometry;
  const size_t word_row = WordRowBytes(g, layer.ring);
  const size_t q_row = ActivationRowBytes(g.output[1], g.out_channels);
  const auto y_row = static_cast<size_t>(g.output[1] * g.out_channels);
  Unmasked out;
  out.q.resize(layer.quantized_output ? q_row * static_cast<size_t>(g.output[0]) : 0);
  out.y.resize(layer.quantized_output ? 0 : y_row * static_cast<size_t>(g.output[0]));
  for (int64_t h = 0; h < g.output[0]; ++h) {
    const auto row = static_cast<size_t>(h);
    const LayerCodec::UnmaskInput in{
        .words = words.subspan(row * word_row, word_row),
        .pad_words = pad.empty() ? std::span<const uint8_t>() : pad.subspan(row * word_row, word_row)};
    if (layer.quantized_output) {
      codec.UnmaskRow(in, h, check, std::span(out.q).subspan(row * q_row, q_row));
    } else {
      codec.UnmaskRow(in, h, check, std::span(out.y).subspan(row * y_row, y_row));
    }
  }
  return out;
}

Unmasked Requantized(const LinearLayer& layer, const std::vector<int64_t>& accumulators) {
  const kernels::ConvGeometry& g = layer.geometry;
  const auto channels = static_cast<size_t>(g.out_channels);
  const size_t padded = PaddedChannels(g.out_channels);
  Unmasked out;
  out.q.resize(layer.quantized_output ? accumulators.size() / channels * padded : 0);
  for (size_t i = 0; i < accumulators.size(); ++i) {
    const size_t c = i % channels;
    const float y = static_cast<float>(accumulators[i] + layer.bias[c]) * layer.multiplier[c];
    if (layer.quantized_output) {
      out.q[i / channels * padded + c] = Definition(layer, y);
    } else {
      out.y.push_back(y);
    }
  }
  return out;
}

bool SameActivations(const LinearLayer& layer, const Unmasked& a, const Unmasked& b) {
  const auto channels = static_cast<size_t>(layer.geometry.out_channels);
  const size_t padded = PaddedChannels(layer.geometry.out_channels);
  bool same = a.y == b.y && a.q.size() == b.q.size();
  for (size_t i = 0; same && i < a.q.size(); ++i) {
    same = i % padded >= channels || a.q[i] == b.q[i];
  }
  return same;
}

InputSum SumOfInput(const Challenge& challenge, std::span<const uint8_t> q) {
  InputSum sum(challenge);
  for (int64_t h = 0; h < challenge.layer().geometry.input[0]; ++h) {
    sum.AddRow(h, RowOfActivations(challenge.layer(), q, h));
  }
  return sum;
}

}  // namespace shoji::enclave
