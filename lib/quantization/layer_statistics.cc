// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/layer_statistics.h"

#include <algorithm>

#include "lib/quantization/byte_form.h"
#include "lib/quantization/compiled.h"

namespace shoji::quantization {
namespace {

using kernels::ConvGeometry;
using kernels::ring::PaddedChannels;

// Positions of an example that are sampled, at equal distances.
constexpr int64_t kSamplesPerExample = 40;
// A product of two bytes is below 2^16: so many fit an int32_t.
constexpr size_t kMaxSamples = size_t{1} << 15;

// The outputs [begin, end) along one axis for which a tap lies in the input.
struct Inside {
  int64_t begin = 0;
  int64_t end = 0;
};

Inside InsideOf(const ConvGeometry& g, size_t axis, int64_t tap) {
  const int64_t offset = tap * g.window.dilations[axis] - g.window.pads[axis];
  const int64_t stride = g.window.strides[axis];
  Inside inside;
  inside.begin = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  inside.end = offset >= g.input[axis] ? 0 : std::min(g.output[axis], (g.input[axis] - 1 - offset) / stride + 1);
  return inside;
}

// Adds the bytes of every stride-th pixel of a row.
void AddRow(const uint8_t* row, int64_t count, size_t stride, size_t channels, std::vector<int32_t>& sums) {
  int32_t* const to = sums.data();
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* const pixel = row + static_cast<size_t>(i) * stride;
    for (size_t c = 0; c < channels; ++c) {
      to[c] += pixel[c];
    }
  }
}

// products += x x^T
void AddProducts(std::span<const int32_t> x, LayerStatistics::Block& block) {
  const int32_t* const values = x.data();
  for (size_t i = 0; i < x.size(); ++i) {
    const int32_t factor = values[i];
    block.sums[i] += factor;
    if (factor == 0) {
      continue;
    }
    int32_t* const row = block.products.data() + i * x.size();
    for (size_t j = 0; j < x.size(); ++j) {
      row[j] += factor * values[j];
    }
  }
}

std::vector<LayerStatistics::Block> BlocksOf(size_t group_size, size_t taps) {
  const size_t channels = std::clamp<size_t>(LayerStatistics::kMaxBlock / taps, 1, group_size);
  std::vector<LayerStatistics::Block> blocks;
  for (size_t c = 0; c < group_size; c += channels) {
    LayerStatistics::Block& block = blocks.emplace_back();
    block.first = c * taps;
    block.size = std::min(channels, group_size - c) * taps;
    block.products.resize(block.size * block.size);
    block.sums.resize(block.size);
  }
  return blocks;
}

}  // namespace

LayerStatistics::LayerStatistics(const LinearNode& layer, const ByteTensor& input, const Shape& input_shape,
                                 const Shape& output_shape, bool rounds_weights)
    : geometry_(layer.geometry),
      input_(input),
      input_shape_(input_shape),
      output_shape_(output_shape),
      taps_(static_cast<size_t>(geometry_.window.kernel[0] * geometry_.window.kernel[1])),
      bytes_(PaddedBytes(input)),
      tap_sums_(taps_ * static_cast<size_t>(geometry_.in_channels)),
      output_sums_(static_cast<size_t>(geometry_.out_channels)) {
  if (rounds_weights) {
    blocks_.assign(static_cast<size_t>(geometry_.group),
                   BlocksOf(static_cast<size_t>(geometry_.in_channels / geometry_.group), taps_));
  }
}

void LayerStatistics::Observe(std::span<const float> input, std::span<const float> output) {
  QuantizeTensor(ByteKernelsFor(kernels::ring::BestIsa()), input_shape_, input_, input.data(), bytes_.data());
  const ConvGeometry& g = geometry_;
  const auto channels = static_cast<size_t>(g.in_channels);
  const size_t pixel = PaddedChannels(g.in_channels);
  const size_t row_bytes = static_cast<size_t>(g.input[1]) * pixel;
  const int64_t zero = input_.parameters.zero_point;
  for (size_t tap = 0; tap < taps_; ++tap) {
    const int64_t tap_row = static_cast<int64_t>(tap) / g.window.kernel[1];
    const int64_t tap_column = static_cast<int64_t>(tap) % g.window.kernel[1];
    const Inside rows = InsideOf(g, 0, tap_row);
    const Inside columns = InsideOf(g, 1, tap_column);
    if (columns.begin >= columns.end) {
      continue;
    }
    const int64_t first = columns.begin * g.window.strides[1] + tap_column * g.window.dilations[1] - g.window.pads[1];
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const int64_t at = row * g.window.strides[0] + tap_row * g.window.dilations[0] - g.window.pads[0];
      std::vector<int32_t> sums(channels);
      AddRow(bytes_.data() + static_cast<size_t>(at) * row_bytes + static_cast<size_t>(first) * pixel,
             columns.end - columns.begin, static_cast<size_t>(g.window.strides[1]) * pixel, channels, sums);
      for (size_t c = 0; c < channels; ++c) {
        tap_sums_[tap * channels + c] += sums[c] - zero * (columns.end - columns.begin);
      }
    }
  }
  const bool is_image = IsImage(output_shape_);
  const size_t positions = output.size() / output_sums_.size();
  for (size_t i = 0; i < output.size(); ++i) {
    output_sums_[is_image ? i / positions : i % output_sums_.size()] += static_cast<double>(output[i]);
  }
  num_positions_ += positions;
  if (!blocks_.empty()) {
    Sample();
  }
  ++num_examples_;
}

void LayerStatistics::Sample() {
  const ConvGeometry& g = geometry_;
  const int64_t positions = g.output[0] * g.output[1];
  const int64_t count = std::min(positions, kSamplesPerExample);
  std::vector<int32_t> window(taps_ * static_cast<size_t>(g.in_channels / g.group));
  for (int64_t i = 0; i < count && num_samples_ < kMaxSamples; ++i) {
    // Elsewhere in every example.
    const int64_t at = (i * positions / count + static_cast<int64_t>(num_examples_ % 8191)) % positions;
    for (size_t group = 0; group < blocks_.size(); ++group) {
      Gather(at / g.output[1], at % g.output[1], group, window);
      for (Block& block : blocks_[group]) {
        AddProducts(std::span(window).subspan(block.first, block.size), block);
      }
    }
    ++num_samples_;
  }
}

// What the weights of an output channel of `group` are multiplied with at one position.
void LayerStatistics::Gather(int64_t row, int64_t column, size_t group, std::vector<int32_t>& out) const {
  const ConvGeometry& g = geometry_;
  const auto group_size = static_cast<size_t>(g.in_channels / g.group);
  for (size_t tap = 0; tap < taps_; ++tap) {
    const int64_t at_row = row * g.window.strides[0] - g.window.pads[0] +
                           static_cast<int64_t>(tap) / g.window.kernel[1] * g.window.dilations[0];
    const int64_t at_column = column * g.window.strides[1] - g.window.pads[1] +
                              static_cast<int64_t>(tap) % g.window.kernel[1] * g.window.dilations[1];
    const bool inside = at_row >= 0 && at_row < g.input[0] && at_column >= 0 && at_column < g.input[1];
    const uint8_t* const pixel =
        inside ? bytes_.data() + static_cast<size_t>(at_row * g.input[1] + at_column) * PaddedChannels(g.in_channels) +
                     group * group_size
               : nullptr;
    for (size_t c = 0; c < group_size; ++c) {
      out[c * taps_ + tap] = inside ? int32_t{pixel[c]} - int32_t{input_.parameters.zero_point} : 0;
    }
  }
}

std::vector<float> LayerStatistics::Correction(const LinearLayer& layer) const {
  const auto channels = static_cast<size_t>(geometry_.in_channels);
  const size_t group_size = channels / static_cast<size_t>(geometry_.group);
  const size_t out_per_group = output_sums_.size() / static_cast<size_t>(geometry_.group);
  std::vector<float> out;
  for (size_t o = 0; o < output_sums_.size(); ++o) {
    const int8_t* const weights = layer.weights.data() + o * group_size * taps_;
    double sum = static_cast<double>(layer.bias[o]) * static_cast<double>(num_positions_);
    for (size_t i = 0; i < group_size * taps_; ++i) {
      const size_t channel = o / out_per_group * group_size + i / taps_;
      sum += static_cast<double>(weights[i]) * static_cast<double>(tap_sums_[i % taps_ * channels + channel]);
    }
    const double given = sum * static_cast<double>(layer.multiplier[o]);
    out.push_back(static_cast<float>((output_sums_[o] - given) / static_cast<double>(num_positions_)));
  }
  return out;
}

}  // namespace shoji::quantization
