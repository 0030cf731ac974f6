// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/compiled.h"

#include <algorithm>
#include <cmath>

#include "lib/quantization/byte_form.h"
#include "lib/quantization/wide_chain.h"

namespace shoji::quantization {

namespace {

// One a channel, in float32.
std::vector<float> ScalesOf(const ByteTensor& form, bool inverse) {
  std::vector<float> out;
  for (const double step : StepsOf(form)) {
    out.push_back(static_cast<float>(inverse ? 1 / step : step));
  }
  return out;
}

}  // namespace

void QuantizeTensor(const ByteKernels& kernels, const Shape& shape, const ByteTensor& form, const float* from,
                    uint8_t* to) {
  const auto channels = static_cast<size_t>(form.channels);
  const std::vector<float> inverse = ScalesOf(form, true);
  if (IsImage(shape)) {
    kernels.quantize_planes(from, NumPixels(form), channels, inverse.data(), form.parameters.zero_point, to);
    return;
  }
  for (size_t row = 0; row < NumPixels(form); ++row) {
    kernels.narrow(from + row * channels, channels, inverse.data(), {form.parameters.zero_point, 0, 255},
                   to + row * kernels::ring::PaddedChannels(form.channels));
  }
}

void DequantizeTensor(const ByteKernels& kernels, const Shape& shape, const ByteTensor& form, const uint8_t* from,
                      float* to) {
  const auto channels = static_cast<size_t>(form.channels);
  const std::vector<float> scale = ScalesOf(form, false);
  if (IsImage(shape)) {
    kernels.dequantize_planes(from, NumPixels(form), channels, scale.data(), form.parameters.zero_point, to);
    return;
  }
  for (size_t row = 0; row < NumPixels(form); ++row) {
    kernels.widen(from + row * kernels::ring::PaddedChannels(form.channels), channels, scale.data(),
                  form.parameters.zero_point, to + row * channels);
  }
}

void WidenTensor(const Shape& shape, const float* from, float* to) {
  const ByteTensor form = FormOf(shape, {});
  const size_t pixels = NumPixels(form);
  const auto channels = static_cast<size_t>(form.channels);
  const size_t padded = kernels::ring::PaddedChannels(form.channels);
  const size_t pixel_stride = IsImage(shape) ? 1 : channels;
  const size_t channel_stride = IsImage(shape) ? pixels : 1;
  for (size_t pixel = 0; pixel < pixels; ++pixel) {
    for (size_t c = 0; c < padded; ++c) {
      to[pixel * padded + c] = c < channels ? from[pixel * pixel_stride + c * channel_stride] : 0;
    }
  }
}

void UnwidenTensor(const Shape& shape, const float* from, float* to) {
  const ByteTensor form = FormOf(shape, {});
  const size_t pixels = NumPixels(form);
  const auto channels = static_cast<size_t>(form.channels);
  const size_t padded = kernels::ring::PaddedChannels(form.channels);
  const size_t pixel_stride = IsImage(shape) ? 1 : channels;
  const size_t channel_stride = IsImage(shape) ? pixels : 1;
  for (size_t pixel = 0; pixel < pixels; ++pixel) {
    for (size_t c = 0; c < channels; ++c) {
      to[pixel * pixel_stride + c * channel_stride] = from[pixel * padded + c];
    }
  }
}

uint8_t QuantizeReal(double value, const QuantizationParameters& parameters) {
  const double zero_point = parameters.zero_point;
  // Clamped before it is rounded: the value may be infinite.
  const double scaled = std::min(std::max(value / static_cast<double>(parameters.scale), -256.0), 256.0);
  return static_cast<uint8_t>(std::min(std::max(std::nearbyint(scaled) + zero_point, 0.0), 255.0));
}

}  // namespace shoji::quantization
