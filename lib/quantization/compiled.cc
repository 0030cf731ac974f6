// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/compiled.h"

#include <algorithm>
#include <cmath>

#include "lib/quantization/byte_form.h"

namespace shoji::quantization {

void QuantizeTensor(const ByteKernels& kernels, const Shape& shape, const QuantizationParameters& parameters,
                    const float* from, uint8_t* to) {
  const ByteTensor form = FormOf(shape, parameters);
  const auto channels = static_cast<size_t>(form.channels);
  const auto inverse = static_cast<float>(1 / static_cast<double>(parameters.scale));
  if (IsImage(shape)) {
    kernels.quantize_planes(from, NumPixels(form), channels, inverse, parameters.zero_point, to);
    return;
  }
  for (size_t row = 0; row < NumPixels(form); ++row) {
    kernels.quantize_row(from + row * channels, channels, inverse, parameters.zero_point,
                         to + row * kernels::ring::PaddedChannels(form.channels));
  }
}

void DequantizeTensor(const ByteKernels& kernels, const Shape& shape, const QuantizationParameters& parameters,
                      const uint8_t* from, float* to) {
  const ByteTensor form = FormOf(shape, parameters);
  const auto channels = static_cast<size_t>(form.channels);
  if (IsImage(shape)) {
    kernels.dequantize_planes(from, NumPixels(form), channels, parameters.scale, parameters.zero_point, to);
    return;
  }
  for (size_t row = 0; row < NumPixels(form); ++row) {
    kernels.dequantize_row(from + row * kernels::ring::PaddedChannels(form.channels), channels, parameters.scale,
                           parameters.zero_point, to + row * channels);
  }
}

uint8_t QuantizeReal(double value, const QuantizationParameters& parameters) {
  const double zero_point = parameters.zero_point;
  // Clamped before it is rounded: the value may be infinite.
  const double scaled = std::min(std::max(value / static_cast<double>(parameters.scale), -256.0), 256.0);
  return static_cast<uint8_t>(std::min(std::max(std::nearbyint(scaled) + zero_point, 0.0), 255.0));
}

}  // namespace shoji::quantization
