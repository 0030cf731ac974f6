// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/masking/layer_codec.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "enclave_worker/core/masking/codec_kernels.h"
#include "enclave_worker/core/masking/keystream.h"
#include "enclave_worker/core/verification/aligned_array.h"
#include "enclave_worker/core/verification/challenge_tables.h"
#include "lib/base/check.h"

namespace shoji::enclave {
namespace {

using kernels::ConvGeometry;
using kernels::ring::ActivationRowBytes;
using kernels::ring::LimbRowBytes;
using kernels::ring::PaddedChannels;
using kernels::ring::PlaneBytes;
using kernels::ring::WordBytes;
using kernels::ring::WordRowBytes;
using quantization::LinearLayer;

// Whether every honest a + bias fits in 32 bits. Then sums are taken mod 2^32: exact for [lo, hi], and for a forged
// word outside, which the check refuses, some number.
bool IsNarrow(const LinearLayer& layer) {
  for (size_t c = 0; c < layer.bias.size(); ++c) {
    if (layer.lo[c] + layer.bias[c] < std::numeric_limits<int32_t>::min() ||
        layer.hi[c] + layer.bias[c] > std::numeric_limits<int32_t>::max()) {
      return false;
    }
  }
  return true;
}

// What the vector kernels ask for; multipliers are scales of input times weights over output, and any sensible one is.
bool HasSmallMultipliers(const LinearLayer& layer) {
  return std::all_of(layer.multiplier.begin(), layer.multiplier.end(),
                     [](float multiplier) { return multiplier > -1 && multiplier < 1; });
}

void CheckLayer(const LinearLayer& layer) {
  const auto channels = static_cast<size_t>(layer.geometry.out_channels);
  SHOJI_CHECK(layer.geometry.batch == 1);
  SHOJI_CHECK(layer.lo.size() == channels && layer.hi.size() == channels);
  SHOJI_CHECK(layer.bias.size() == channels && layer.multiplier.size() == channels);
  SHOJI_CHECK(layer.weights.size() % channels == 0);
}

}  // namespace

bool IsSupported(CodecIsa isa) {
  return isa == CodecIsa::kPortable || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                                        __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi"));
}
CodecIsa BestCodecIsa() { return IsSupported(CodecIsa::kAvx512) ? CodecIsa::kAvx512 : CodecIsa::kPortable; }

// One element an output channel, padded to whole vectors with zeros.
struct LayerCodec::Constants {
  explicit Constants(size_t size)
      : subtract_pad(size), subtract_clear(size), add(size), wide_add(size), multiplier(size) {}

  AlignedArray<uint32_t> subtract_pad;    // lo
  AlignedArray<uint32_t> subtract_clear;  // lo + zero point * sum of weights
  AlignedArray<int32_t> add;              // lo + bias
  AlignedArray<int64_t> wide_add;         // lo + bias
  AlignedArray<float> multiplier;
  bool narrow = true;
  bool vectorized = false;
};

LayerCodec::LayerCodec(const LinearLayer& layer, CodecIsa isa)
    : layer_(layer), isa_(isa), constants_([&] {
        CheckLayer(layer);
        const auto channels = static_cast<size_t>(layer.geometry.out_channels);
        auto constants = std::make_unique<Constants>(RoundUp(PaddedChannels(layer.geometry.out_channels), 64));
        for (size_t c = 0; c < channels; ++c) {
          const int64_t sum = quantization::SumOfWeights(layer, c);
          constants->subtract_pad[c] = static_cast<uint32_t>(layer.lo[c]);
          constants->subtract_clear[c] = static_cast<uint32_t>(layer.lo[c] + layer.input_zero_point * sum);
          constants->wide_add[c] = layer.lo[c] + layer.bias[c];
          constants->add[c] = static_cast<int32_t>(static_cast<uint32_t>(constants->wide_add[c]));
          constants->multiplier[c] = layer.multiplier[c];
        }
        constants->narrow = IsNarrow(layer);
        constants->vectorized = isa == CodecIsa::kAvx512 && constants->narrow && HasSmallMultipliers(layer);
        return constants;
      }()) {
  SHOJI_CHECK(IsSupported(isa));
}

LayerCodec::~LayerCodec() = default;

void LayerCodec::MaskRow(const PadKey& key, uint64_t index, int64_t row, std::span<const uint8_t> q,
                         std::span<uint8_t> out) const {
  const ConvGeometry& geometry = layer_.geometry;
  const size_t num_limbs = WordBytes(layer_.ring);
  SHOJI_CHECK(row >= 0 && row < geometry.input[0]);
  SHOJI_CHECK(q.size() == ActivationRowBytes(geometry.input[1], geometry.in_channels));
  SHOJI_CHECK(out.size() == LimbRowBytes(geometry, num_limbs));
  const row_kernels::RowToMask in{.q = q.data(),
                                  .size = q.size(),
                                  .zero_point = layer_.input_zero_point,
                                  .num_limbs = num_limbs,
                                  .plane = PlaneBytes(geometry.input[1], geometry.in_channels)};
  if (isa_ == CodecIsa::kAvx512 && key.kind() == KeystreamKind::kVaes) {
    key.GenerateAndAdd(index, static_cast<uint64_t>(row) * out.size(), in, out.data());
    return;
  }
  RandomRow(key, index, row, out);
  if (isa_ == CodecIsa::kAvx512) {
    row_kernels::AddToKeystreamAvx512(in, out.data());
  } else {
    row_kernels::AddToKeystreamPortable(in, out.data());
  }
}

// Rows take disjoint parts of the layer's keystream, layers different streams: within one pad no byte of r is used for
// two values.
void LayerCodec::RandomRow(const PadKey& key, uint64_t index, int64_t row, std::span<uint8_t> out) const {
  SHOJI_CHECK(row >= 0 && row < layer_.geometry.input[0]);
  SHOJI_CHECK(out.size() == LimbRowBytes(layer_.geometry, WordBytes(layer_.ring)));
  key.Generate(index, static_cast<uint64_t>(row) * out.size(), out);
}

void LayerCodec::ClearRow(std::span<const uint8_t> q, std::span<uint8_t> out) const {
  SHOJI_CHECK(q.size() == ActivationRowBytes(layer_.geometry.input[1], layer_.geometry.in_channels));
  SHOJI_CHECK(out.size() == LimbRowBytes(layer_.geometry, 1));
  std::copy(q.begin(), q.end(), out.begin());
  std::fill(out.begin() + static_cast<ptrdiff_t>(q.size()), out.end(), uint8_t{0});
  // The channels that only fill up a position hold whatever lay in the frame before: nothing that the policy opens.
  const auto channels = static_cast<size_t>(layer_.geometry.in_channels);
  const size_t padded = PaddedChannels(layer_.geometry.in_channels);
  for (size_t at = channels; at < q.size() && channels != padded; at += padded) {
    std::fill_n(out.begin() + static_cast<ptrdiff_t>(at), padded - channels, uint8_t{0});
  }
}

void LayerCodec::UnmaskRow(const UnmaskInput& in, int64_t row, OutputSum* check, std::span<uint8_t> q) const {
  SHOJI_CHECK(layer_.quantized_output);
  SHOJI_CHECK(q.size() == ActivationRowBytes(layer_.geometry.output[1], layer_.geometry.out_channels));
  Unmask(in, row, check, q.data(), nullptr);
}

void LayerCodec::UnmaskRow(const UnmaskInput& in, int64_t row, OutputSum* check, std::span<float> out) const {
  SHOJI_CHECK(!layer_.quantized_output);
  SHOJI_CHECK(out.size() == static_cast<size_t>(layer_.geometry.output[1] * layer_.geometry.out_channels));
  Unmask(in, row, check, nullptr, out.data());
}

void LayerCodec::Unmask(const UnmaskInput& in, int64_t row, OutputSum* check, uint8_t* q, float* y) const {
  const ConvGeometry& geometry = layer_.geometry;
  SHOJI_CHECK(row >= 0 && row < geometry.output[0]);
  SHOJI_CHECK(in.words.size() == WordRowBytes(geometry, layer_.ring));
  SHOJI_CHECK(in.pad_words.empty() || in.pad_words.size() == in.words.size());
  const Constants& constants = *constants_;
  row_kernels::RowToUnmask part{
      .channels = PaddedChannels(geometry.out_channels),
      .word_bytes = WordBytes(layer_.ring),
      .subtract = (in.pad_words.empty() ? constants.subtract_clear : constants.subtract_pad).data(),
      .add = constants.add.data(),
      .wide_add = constants.narrow ? nullptr : constants.wide_add.data(),
      .multiplier = constants.multiplier.data(),
      .zero_point = layer_.output_zero_point,
      .min = layer_.output_min,
      .max = layer_.output_max,
      .out_channels = static_cast<size_t>(geometry.out_channels)};
  const auto width = static_cast<size_t>(geometry.output[1]);
  // Products a position adds to each lane of the check.
  const size_t terms = RoundUp(part.channels, row_kernels::kMaxChannelsFirst) / row_kernels::kMaxChannelsFirst;
  const size_t step = OutputSum::kMaxTerms / terms;
  for (size_t w = 0; w < width; w += step) {
    const size_t at = w * part.channels;
    part.num_positions = std::min(step, width - w);
    part.words = in.words.data() + at * part.word_bytes;
    part.pad = in.pad_words.empty() ? nullptr : in.pad_words.data() + at * part.word_bytes;
    part.q = q == nullptr ? nullptr : q + at;
    part.y = y == nullptr ? nullptr : y + w * part.out_channels;
    UnmaskPart(part, check, static_cast<size_t>(row) * width + w, part.num_positions * terms);
  }
}

void LayerCodec::UnmaskPart(row_kernels::RowToUnmask& part, OutputSum* check, size_t position, size_t num_terms) const {
  if (check != nullptr) {
    SHOJI_CHECK(&check->challenge().layer() == &layer_);
    const Challenge::Tables& tables = check->challenge().tables();
    check->Reserve(num_terms);
    part.order =
        tables.positions_first ? row_kernels::CheckOrder::kPositionsFirst : row_kernels::CheckOrder::kChannelsFirst;
    part.t = tables.output_t.data() + position;
    part.s = tables.s.data();
    part.low = check->low();
    part.high = check->high();
  }
  if (constants_->vectorized) {
    row_kernels::UnmaskRowAvx512(part);
    return;
  }
  const uint64_t sum = row_kernels::UnmaskRowPortable(part);
  if (check != nullptr) {
    check->AddValue(sum);
  }
}

void MaxPoolRow(const kernels::PoolGeometry& pool, std::span<const std::span<const uint8_t>> rows,
                std::span<uint8_t> out, CodecIsa isa) {
  const size_t row_bytes = ActivationRowBytes(pool.input[1], pool.channels);
  SHOJI_CHECK(out.size() == ActivationRowBytes(pool.output[1], pool.channels));
  std::vector<const uint8_t*> pointers;
  for (const std::span<const uint8_t>& row : rows) {
    SHOJI_CHECK(row.size() == row_bytes);
    pointers.push_back(row.data());
  }
  const row_kernels::RowToPool in{.rows = pointers.data(),
                                  .num_rows = pointers.size(),
                                  .channels = PaddedChannels(pool.channels),
                                  .input_width = pool.input[1],
                                  .output_width = pool.output[1],
                                  .kernel = pool.window.kernel[1],
                                  .stride = pool.window.strides[1],
                                  .dilation = pool.window.dilations[1],
                                  .pad = pool.window.pads[1],
                                  .out = out.data()};
  if (isa == CodecIsa::kAvx512) {
    row_kernels::MaxPoolRowAvx512(in);
  } else {
    row_kernels::MaxPoolRowPortable(in);
  }
}

}  // namespace shoji::enclave
