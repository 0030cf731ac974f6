// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/image/resize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "lib/base/check.h"

// Every output pixel is a weighted mean of the input pixels under a triangle that is as wide as the scale asks for: two
// input pixels when enlarging, more when shrinking. The two directions are separate passes, columns first, each in
// fixed point with 22 fraction bits and rounded to 8 bits, which is what makes the result reproducible to the bit.
namespace shoji::image {
namespace {

constexpr int kFractionBits = 22;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

// The input pixels [first, first + weights.size()) that make one output pixel.
struct Taps {
  size_t first = 0;
  std::vector<int32_t> weights;
};

double Triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

Taps TapsFor(size_t out_index, double scale, size_t in_len) {
  const double width = std::max(scale, 1.0);
  const double center = (static_cast<double>(out_index) + 0.5) * scale;
  const double inverse = 1.0 / width;
  // Cut off, not rounded, also below zero: the bounds and weights are part of what is reproduced.
  const double begin = center - width + 0.5;
  const double end = center + width + 0.5;
  Taps taps;
  taps.first = static_cast<size_t>(std::max(begin, 0.0));
  const size_t last = std::min(static_cast<size_t>(end), in_len);
  std::vector<double> weights;
  double sum = 0;
  for (size_t i = taps.first; i < last; ++i) {
    const double offset = static_cast<double>(i - taps.first) + static_cast<double>(taps.first) - center + 0.5;
    weights.push_back(Triangle(offset * inverse));
    sum += weights.back();
  }
  taps.weights.reserve(weights.size());
  for (const double weight : weights) {
    const double normalized = sum != 0 ? weight / sum : weight;
    const double fixed_point = 0.5 + normalized * (1 << kFractionBits);
    taps.weights.push_back(static_cast<int32_t>(fixed_point));
  }
  return taps;
}

std::vector<Taps> TapsFor(size_t in_len, size_t scaled_len, size_t first, size_t count) {
  const double scale = static_cast<double>(in_len) / static_cast<double>(scaled_len);
  std::vector<Taps> out;
  out.reserve(count);
  for (size_t i = first; i < first + count; ++i) {
    out.push_back(TapsFor(i, scale, in_len));
  }
  return out;
}

uint8_t ToByte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255)); }

// One output pixel's `num_channels` values; tap i is at `in` + i * `stride`.
void Apply(const Taps& taps, const uint8_t* in, size_t stride, size_t num_channels, uint8_t* out) {
  for (size_t c = 0; c < num_channels; ++c) {
    int32_t sum = kHalf;
    const uint8_t* p = in + c;
    for (const int32_t weight : taps.weights) {
      sum += *p * weight;
      p += stride;
    }
    out[c] = ToByte(sum);
  }
}

// Rows [first_row, first_row + num_rows) of `image`, columns [left, left + width) of its scaled form.
Image ResizeColumns(const Image& image, size_t scaled_width, const Region& rows_and_columns) {
  const size_t channels = image.num_channels();
  const Region& part = rows_and_columns;
  Image out(part.size.width, part.size.height, channels);
  const bool same = scaled_width == image.width();
  const std::vector<Taps> taps =
      same ? std::vector<Taps>() : TapsFor(image.width(), scaled_width, part.left, part.size.width);
  for (size_t y = 0; y < part.size.height; ++y) {
    const uint8_t* in = image.row(part.top + y);
    if (same) {
      std::copy_n(in + part.left * channels, out.row_bytes(), out.mutable_row(y));
      continue;
    }
    for (size_t x = 0; x < part.size.width; ++x) {
      Apply(taps[x], in + taps[x].first * channels, channels, channels, out.mutable_row(y) + x * channels);
    }
  }
  return out;
}

}  // namespace

Size ScaledSize(const Image& image, size_t shorter_side) {
  if (image.width() <= image.height()) {
    return {shorter_side, shorter_side * image.height() / image.width()};
  }
  return {shorter_side * image.width() / image.height(), shorter_side};
}

Region CentralRegion(Size whole, Size size) {
  SHOJI_CHECK(size.width <= whole.width && size.height <= whole.height);
  const auto half_to_even = [](size_t margin) { return margin / 2 + (margin % 4 == 3 ? 1 : 0); };
  return {half_to_even(whole.width - size.width), half_to_even(whole.height - size.height), size};
}

Image ResizeRegion(const Image& image, Size scaled, const Region& region) {
  SHOJI_CHECK(region.left + region.size.width <= scaled.width && region.top + region.size.height <= scaled.height);
  if (scaled.height == image.height()) {
    return ResizeColumns(image, scaled.width, region);
  }
  const std::vector<Taps> taps = TapsFor(image.height(), scaled.height, region.top, region.size.height);
  Region needed = region;
  needed.top = taps.front().first;
  needed.size.height = taps.back().first + taps.back().weights.size() - needed.top;
  const Image columns = ResizeColumns(image, scaled.width, needed);
  Image out(region.size.width, region.size.height, image.num_channels());
  const size_t channels = image.num_channels();
  for (size_t y = 0; y < region.size.height; ++y) {
    const uint8_t* in = columns.row(taps[y].first - needed.top);
    for (size_t x = 0; x < region.size.width; ++x) {
      Apply(taps[y], in + x * channels, columns.row_bytes(), channels, out.mutable_row(y) + x * channels);
    }
  }
  return out;
}

}  // namespace shoji::image
