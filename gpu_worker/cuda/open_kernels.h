// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What the kernels of open segments are told: plain structs, passed to the device by value. All values are float32,
// row-major, of at most 2^31 - 1 elements; whoever fills these in has checked that no index leads out of a tensor
// (open_lowering.h), and no kernel checks again. Pointers are to the memory of the machine that runs the kernel. No
// output overlaps an input, except that MapArgs::y may be MapArgs::x.
#pragma once

#include <cstdint>
#include <variant>

#include "lib/kernels/activation.h"

namespace shoji::accelerator::open_segment {

// What is done with a result before it is stored: y = activations(v + bias[channel] + residual[index of y]).
struct Epilogue {
  static constexpr uint32_t kMaxActivations = 5;
  const float* bias = nullptr;      // null: none
  const float* residual = nullptr;  // null: none
  uint32_t num_activations = 0;
  kernels::Activation activations[kMaxActivations] = {};
};

// Loops over up to three operands, outermost first: kernels::LoopNest for the device.
struct Nest {
  static constexpr uint32_t kMaxRank = 8;
  uint32_t rank = 0;
  uint32_t extents[kMaxRank] = {};
  int32_t strides[3][kMaxRank] = {};
  int32_t offsets[3] = {};
};

// A window over {height, width}; kernels::Window and the extents it slides over. in + pads + span + stride fits in an
// int32 along either axis.
struct Sliding {
  int32_t kernel[2] = {1, 1};
  int32_t strides[2] = {1, 1};
  int32_t dilations[2] = {1, 1};
  int32_t pads[4] = {0, 0, 0, 0};  // top, left, bottom, right
  int32_t input[2] = {1, 1};
  int32_t output[2] = {1, 1};
};

// Where one row of the second operand of a convolution's product lies, seen from a window's first cell.
struct alignas(8) Tap {
  int32_t offset = 0;  // elements
  int16_t row = 0;
  int16_t column = 0;
};

// y [count, m, n] = factor * a^T b, and then the epilogue. a is stored as [k, m], at operand 0 of `batch`, and so is b
// at operand 1: as [k, n], or, with `taps`, as an image [.., input] of which column i is what output position i reads.
// The channel of y's element i is i / inner % channels.
// With more than one split, y [splits, count, m, n] gets sums over parts of k alone, for a SumArgs to finish.
struct MultiplyArgs {
  // Rows and columns of y that a block computes.
  enum class Tile : uint8_t { k128x128, k128x64, k64x64, k64x32 };
  const float* a = nullptr;
  const float* b = nullptr;
  float* y = nullptr;
  const Tap* taps = nullptr;  // [k], null for a plain matrix
  uint32_t m = 1;
  uint32_t k = 1;
  uint32_t n = 1;
  uint32_t count = 1;
  uint32_t splits = 1;
  uint32_t k_per_split = 1;
  Tile tile = Tile::k64x64;
  float factor = 1;
  uint32_t inner = 1;
  uint32_t channels = 1;
  Nest batch;
  Sliding window;  // of a convolution
  Epilogue epilogue;
};

// y [count] = the sum of `parts` [num_parts, count] in that order, and then the epilogue, as of MultiplyArgs.
struct SumArgs {
  const float* parts = nullptr;
  float* y = nullptr;
  uint32_t num_parts = 1;
  uint32_t count = 0;
  float factor = 1;
  uint32_t inner = 1;
  uint32_t channels = 1;
  Epilogue epilogue;
};

// A grouped convolution by its definition: x [batch, group * in_per_group, input], w [group * out_per_group,
// in_per_group, kernel], y [batch, group * out_per_group, output]. One thread an output.
struct GroupedArgs {
  const float* x = nullptr;
  const float* w = nullptr;
  float* y = nullptr;
  uint32_t count = 0;  // of outputs
  uint32_t group = 1;
  uint32_t in_per_group = 1;
  uint32_t out_per_group = 1;
  Sliding window;
  Epilogue epilogue;
};

// y [outputs] = w [outputs, inputs] x, the channel of an output being its index. One block an output.
struct DenseArgs {
  const float* x = nullptr;
  const float* w = nullptr;
  float* y = nullptr;
  uint32_t inputs = 1;
  uint32_t outputs = 1;
  float factor = 1;
  Epilogue epilogue;
};

// x [planes, input] to y [planes, output]. One thread an output.
struct WindowPoolArgs {
  enum class Kind : uint8_t { kMax, kAverageOfInput, kAverageOfPadded };
  const float* x = nullptr;
  float* y = nullptr;
  uint32_t count = 0;  // of outputs
  Kind kind = Kind::kMax;
  Sliding window;
  Epilogue epilogue;  // without bias and residual
};

// y[i] = x[i] * scale[channel], and then the epilogue; the channel of i is i / inner % channels.
struct MapArgs {
  const float* x = nullptr;
  float* y = nullptr;
  uint32_t count = 0;
  uint32_t inner = 1;
  uint32_t channels = 1;
  const float* scale = nullptr;  // null: 1
  Epilogue epilogue;
};

// y = a op b; operands 0 and 1 of `nest` are a and b, y is contiguous and walked in order.
struct PairArgs {
  const float* a = nullptr;
  const float* b = nullptr;
  float* y = nullptr;
  uint32_t count = 0;
  kernels::BinaryKind kind = kernels::BinaryKind::kAdd;
  Nest nest;
  Epilogue epilogue;  // without bias and residual
};

// Operand 0 of `nest` is x, operand 2 is y.
struct CopyArgs {
  const float* x = nullptr;
  float* y = nullptr;
  uint32_t count = 0;
  Nest nest;
};

struct FillArgs {
  float* y = nullptr;
  uint32_t count = 0;
  float value = 0;
};

// y[i] is the mean or the most of what `terms` walks over, from where operand 0 of `outputs` at i begins. One block an
// output.
struct ReduceArgs {
  enum class Kind : uint8_t { kMean, kMax };
  const float* x = nullptr;
  float* y = nullptr;
  uint32_t count = 0;  // of outputs
  uint32_t num_terms = 1;
  Kind kind = Kind::kMean;
  Nest outputs;
  Nest terms;
  Epilogue epilogue;  // without bias and residual
};

// Over the middle axis of [outer, extent, inner]. One block a row.
struct SoftmaxArgs {
  const float* x = nullptr;
  float* y = nullptr;
  uint32_t outer = 1;
  uint32_t extent = 1;
  uint32_t inner = 1;
};

// Local response normalization over the middle axis of [outer, extent, inner].
struct LrnArgs {
  const float* x = nullptr;
  float* y = nullptr;
  uint32_t count = 0;
  uint32_t extent = 1;
  uint32_t inner = 1;
  uint32_t before = 0;  // channels
  uint32_t after = 0;
  float factor = 0;  // alpha / size
  float beta = 0.75F;
  float bias = 1;
};

// y = clamp(round(x / scale), low, high) * scale
struct QuantizeArgs {
  const float* x = nullptr;
  float* y = nullptr;
  uint32_t count = 0;
  float scale = 1;
  float low = 0;
  float high = 255;
};

// y [outer, num_indices, inner] of x [outer, extent, inner].
struct GatherArgs {
  const float* x = nullptr;
  const float* indices = nullptr;  // the bits of uint32 numbers below `extent`
  float* y = nullptr;
  uint32_t count = 0;
  uint32_t extent = 1;
  uint32_t num_indices = 1;
  uint32_t inner = 1;
};

using Kernel = std::variant<MultiplyArgs, SumArgs, GroupedArgs, DenseArgs, WindowPoolArgs, MapArgs, PairArgs, CopyArgs,
                            FillArgs, ReduceArgs, SoftmaxArgs, LrnArgs, QuantizeArgs, GatherArgs>;

}  // namespace shoji::accelerator::open_segment
