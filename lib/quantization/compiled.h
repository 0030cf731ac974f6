// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a part of a model is compiled to. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "lib/quantization/byte_kernels.h"
#include "lib/quantization/frame.h"
#include "lib/quantization/linear_runner.h"
#include "lib/quantization/program.h"
#include "lib/quantization/wide_chain.h"
#include "lib/tensor/tensor.h"

namespace shoji::quantization {

using Operation = std::function<void(ArenaFrame&)>;

// How a step is computed here.
struct Work {
  std::vector<Operation> operations;     // of a local step
  std::unique_ptr<LinearRunner> runner;  // of a linear one
  Slot scratch = 0;
  // Of a local step that is nothing but a chain which begins with the float32 result of the linear step before: that
  // one runs it on pixels that still lie in the cache.
  std::shared_ptr<const WideChain> chain;
  Slot chain_scratch = 0;
};

// A tensor of the caller; its value lies in the slots that are there.
struct Endpoint {
  Shape shape;
  std::optional<Slot> floats;  // row-major
  std::optional<Slot> wide;    // in the order of bytes
  std::optional<Slot> bytes;
  std::shared_ptr<const Tensor> constant;  // an output that is one
};

struct Compiled {
  std::vector<Step> steps;
  std::vector<Work> work;  // one a step
  std::vector<Endpoint> inputs;
  std::vector<Endpoint> outputs;
  std::shared_ptr<FrameLayout> layout = std::make_shared<FrameLayout>();
  const ByteKernels* kernels = nullptr;
};

// Between a row-major float32 tensor of `shape` and its byte form.
void QuantizeTensor(const ByteKernels& kernels, const Shape& shape, const ByteTensor& form, const float* from,
                    uint8_t* to);
void DequantizeTensor(const ByteKernels& kernels, const Shape& shape, const ByteTensor& form, const uint8_t* from,
                      float* to);
// Between it and float32 in the order of bytes; what only fills up a pixel becomes 0.
void WidenTensor(const Shape& shape, const float* from, float* to);
void UnwidenTensor(const Shape& shape, const float* from, float* to);
// One number to a byte: round half to even, clamped to 0 .. 255.
uint8_t QuantizeReal(double value, const QuantizationParameters& parameters);

}  // namespace shoji::quantization
