// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How a value of the graph lies in memory as bytes. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/kernels/ring/layout.h"
#include "lib/quantization/program.h"
#include "lib/tensor/shape.h"

namespace shoji::quantization {

// [1,C,H,W] is stored [H][W][C]; anything else [rows][last extent]. Channels are padded to a multiple of 4.
inline bool IsImage(const Shape& shape) { return shape.rank() == 4 && shape[0] == 1; }

inline ByteTensor FormOf(const Shape& shape, const QuantizationParameters& parameters) {
  ByteTensor form;
  form.parameters = parameters;
  if (IsImage(shape)) {
    form.channels = shape[1];
    form.height = shape[2];
    form.width = shape[3];
    return form;
  }
  form.channels = shape.rank() == 0 ? 1 : shape[shape.rank() - 1];
  form.width = form.channels == 0 ? 0 : static_cast<int64_t>(shape.num_elements()) / form.channels;
  return form;
}

inline size_t NumPixels(const ByteTensor& form) { return static_cast<size_t>(form.height * form.width); }
inline size_t PaddedBytes(const ByteTensor& form) {
  return static_cast<size_t>(form.height) * kernels::ring::ActivationRowBytes(form.width, form.channels);
}

}  // namespace shoji::quantization
