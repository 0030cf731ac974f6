// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What one thread of each kernel of open_kernels.h computes, for the device and for tests on the host, which so meet
// the same index arithmetic. The semantics are those of lib/kernels/reference, not-a-numbers included.
#pragma once

#include <math.h>  // NOLINT(modernize-deprecated-headers): the device has its functions by their global names

#include <cstdint>
#include <cstring>

#include "gpu_worker/cuda/open_kernels.h"

#ifdef __CUDACC__
#define SHOJI_DEVICE __host__ __device__ __forceinline__
#else
#define SHOJI_DEVICE inline
#endif

// NOLINTBEGIN(bugprone-implicit-widening-of-multiplication-result): positions in one plane, which 32 bits count

namespace shoji::accelerator::open_segment {

// As std::max and std::min, which keep `a` where they cannot compare.
SHOJI_DEVICE float MaxOf(float a, float b) { return a < b ? b : a; }
SHOJI_DEVICE float MinOf(float a, float b) { return b < a ? b : a; }

SHOJI_DEVICE float Activated(const kernels::Activation& activation, float v) {
  using Kind = kernels::Activation::Kind;
  const float alpha = activation.alpha;
  const float beta = activation.beta;
  switch (activation.kind) {
    case Kind::kRelu:
      return v < 0 ? 0.0F : v;
    case Kind::kLeakyRelu:
      return v < 0 ? alpha * v : v;
    case Kind::kSigmoid:
      return 1.0F / (1.0F + expf(-v));
    case Kind::kHardSigmoid:
      return MinOf(MaxOf(alpha * v + beta, 0.0F), 1.0F);
    case Kind::kHardSwish:
      return v * MinOf(MaxOf(v / 6.0F + 0.5F, 0.0F), 1.0F);
    case Kind::kTanh:
      return tanhf(v);
    case Kind::kClip:
      return MinOf(MaxOf(v, alpha), beta);
    case Kind::kSwish:
      return v / (1.0F + expf(-v));
    case Kind::kElu:
      return v < 0 ? alpha * expm1f(v) : v;
    case Kind::kSelu:
      return beta * (v < 0 ? alpha * expm1f(v) : v);
    case Kind::kThresholdedRelu:
      return v > alpha ? v : 0.0F;
    case Kind::kSoftplus:
      return MaxOf(v, 0.0F) + log1pf(expf(-fabsf(v)));
    case Kind::kSoftsign:
      return v / (1.0F + fabsf(v));
    case Kind::kErf:
      return erff(v);
    case Kind::kAbs:
      return fabsf(v);
    case Kind::kNeg:
      return -v;
    case Kind::kExp:
      return expf(v);
    case Kind::kLog:
      return logf(v);
    case Kind::kSqrt:
      return sqrtf(v);
    case Kind::kReciprocal:
      return 1.0F / v;
    case Kind::kFloor:
      return floorf(v);
    case Kind::kCeil:
      return ceilf(v);
    case Kind::kRound:
      return rintf(v);
    case Kind::kSign:
      return v > 0 ? 1.0F : v < 0 ? -1.0F : v;
  }
  return v;
}

SHOJI_DEVICE float Combined(kernels::BinaryKind kind, float a, float b) {
  using Kind = kernels::BinaryKind;
  switch (kind) {
    case Kind::kAdd:
      return a + b;
    case Kind::kSub:
      return a - b;
    case Kind::kMul:
      return a * b;
    case Kind::kDiv:
      return a / b;
    case Kind::kMax:
      return MaxOf(a, b);
    case Kind::kMin:
      return MinOf(a, b);
    case Kind::kPow:
      return powf(a, b);
    case Kind::kPRelu:
      return a < 0 ? b * a : a;
  }
  return a;
}

SHOJI_DEVICE float Finished(const Epilogue& epilogue, uint32_t channel, uint32_t index, float v) {
  if (epilogue.bias != nullptr) {
    v += epilogue.bias[channel];
  }
  if (epilogue.residual != nullptr) {
    v += epilogue.residual[index];
  }
  for (uint32_t i = 0; i < epilogue.num_activations; ++i) {
    v = Activated(epilogue.activations[i], v);
  }
  return v;
}

// Where operand `operand` of `nest` is after `turn` turns of the innermost loop.
SHOJI_DEVICE int32_t OffsetAt(const Nest& nest, uint32_t operand, uint32_t turn) {
  int32_t offset = nest.offsets[operand];
  for (uint32_t d = nest.rank; d-- > 1;) {
    const uint32_t extent = nest.extents[d];
    const uint32_t rest = turn / extent;
    offset += static_cast<int32_t>(turn - rest * extent) * nest.strides[operand][d];
    turn = rest;
  }
  return offset + static_cast<int32_t>(turn) * nest.strides[operand][0];
}

// The window of one output position along one axis: the taps whose cells lie in the input, the first of them, the first
// cell, and how many taps lie in the padded input.
struct Cover {
  int32_t first_tap = 0;
  int32_t taps = 0;
  int32_t first_cell = 0;
  int32_t padded_taps = 0;
};

SHOJI_DEVICE int32_t TapsBelow(const Sliding& window, uint32_t axis, int32_t start, int32_t limit) {
  if (limit <= start) {
    return 0;
  }
  const int32_t dilation = window.dilations[axis];
  const int32_t distance = limit - start;
  const int32_t taps = dilation == 1 ? distance : (distance - 1) / dilation + 1;
  return taps < window.kernel[axis] ? taps : window.kernel[axis];
}

SHOJI_DEVICE Cover CoverOf(const Sliding& window, uint32_t axis, uint32_t output) {
  const int32_t start = static_cast<int32_t>(output) * window.strides[axis] - window.pads[axis];
  Cover cover;
  cover.first_tap = TapsBelow(window, axis, start, 0);
  cover.taps = TapsBelow(window, axis, start, window.input[axis]) - cover.first_tap;
  cover.first_cell = start + cover.first_tap * window.dilations[axis];
  cover.padded_taps = TapsBelow(window, axis, start, window.input[axis] + window.pads[axis + 2]);
  return cover;
}

// The first cell of the window of output position `position`, which may lie in the padding.
struct Corner {
  int32_t row = 0;
  int32_t column = 0;
};
SHOJI_DEVICE Corner CornerOf(const Sliding& window, uint32_t position) {
  const auto width = static_cast<uint32_t>(window.output[1]);
  const uint32_t row = position / width;
  return {static_cast<int32_t>(row) * window.strides[0] - window.pads[0],
          static_cast<int32_t>(position - row * width) * window.strides[1] - window.pads[1]};
}
// What the window there reads of `image` at `tap`.
SHOJI_DEVICE float CellAt(const Sliding& window, const float* image, const Corner& corner, const Tap& tap) {
  const auto row = static_cast<uint32_t>(corner.row + tap.row);
  const auto column = static_cast<uint32_t>(corner.column + tap.column);
  const bool inside = row < static_cast<uint32_t>(window.input[0]) && column < static_cast<uint32_t>(window.input[1]);
  // What lies inside has a position below 2^31, though its terms may not: they are added modulo 2^32.
  const uint32_t position = static_cast<uint32_t>(corner.row) * static_cast<uint32_t>(window.input[1]) +
                            static_cast<uint32_t>(corner.column) + static_cast<uint32_t>(tap.offset);
  return inside ? image[position] : 0.0F;
}

SHOJI_DEVICE uint32_t ChannelOf(uint32_t i, uint32_t inner, uint32_t channels) {
  return channels == 1 ? 0 : i / inner % channels;
}

SHOJI_DEVICE void Element(const SumArgs& args, uint32_t i) {
  constexpr uint32_t kAtOnce = 8;  // on the way from memory
  const float* from = args.parts + i;
  float sum = 0;
  uint32_t part = 0;
  for (; part + kAtOnce <= args.num_parts; part += kAtOnce) {
    float parts[kAtOnce];
    for (uint32_t j = 0; j < kAtOnce; ++j) {
      parts[j] = from[static_cast<int64_t>(part + j) * args.count];
    }
    for (const float v : parts) {
      sum += v;
    }
  }
  for (; part < args.num_parts; ++part) {
    sum += from[static_cast<int64_t>(part) * args.count];
  }
  args.y[i] = Finished(args.epilogue, ChannelOf(i, args.inner, args.channels), i, args.factor * sum);
}

SHOJI_DEVICE void Element(const GroupedArgs& args, uint32_t i) {
  const Sliding& window = args.window;
  const auto width = static_cast<uint32_t>(window.output[1]);
  const uint32_t row = i / width;
  const uint32_t plane = row / static_cast<uint32_t>(window.output[0]);
  const uint32_t channel = plane % (args.group * args.out_per_group);
  const uint32_t image = plane / (args.group * args.out_per_group);
  const Cover rows = CoverOf(window, 0, row - plane * static_cast<uint32_t>(window.output[0]));
  const Cover columns = CoverOf(window, 1, i - row * width);
  const int32_t in_plane = window.input[0] * window.input[1];
  const uint32_t first = (image * args.group + channel / args.out_per_group) * args.in_per_group;
  const float* x =
      args.x + static_cast<int64_t>(first) * in_plane + static_cast<int64_t>(rows.first_cell) * window.input[1];
  const float* w = args.w + static_cast<int64_t>(channel * args.in_per_group) * window.kernel[0] * window.kernel[1] +
                   rows.first_tap * window.kernel[1];
  float sum = 0;
  for (uint32_t c = 0; c < args.in_per_group; ++c) {
    for (int32_t a = 0; a < rows.taps; ++a) {
      const float* cells = x + a * window.dilations[0] * window.input[1] + columns.first_cell;
      const float* factors = w + a * window.kernel[1] + columns.first_tap;
      for (int32_t b = 0; b < columns.taps; ++b) {
        sum += cells[b * window.dilations[1]] * factors[b];
      }
    }
    x += in_plane;
    w += window.kernel[0] * window.kernel[1];
  }
  args.y[i] = Finished(args.epilogue, channel, i, sum);
}

SHOJI_DEVICE void Element(const WindowPoolArgs& args, uint32_t i) {
  const Sliding& window = args.window;
  const auto width = static_cast<uint32_t>(window.output[1]);
  const uint32_t row = i / width;
  const uint32_t plane = row / static_cast<uint32_t>(window.output[0]);
  const Cover rows = CoverOf(window, 0, row - plane * static_cast<uint32_t>(window.output[0]));
  const Cover columns = CoverOf(window, 1, i - row * width);
  const bool max = args.kind == WindowPoolArgs::Kind::kMax;
  constexpr float kLowest = -3.402823466e+38F;
  float out = max ? kLowest : 0.0F;
  const float* x = args.x + static_cast<int64_t>(plane) * window.input[0] * window.input[1] + columns.first_cell;
  for (int32_t a = 0; a < rows.taps; ++a) {
    const float* cells = x + (rows.first_cell + a * window.dilations[0]) * window.input[1];
    for (int32_t b = 0; b < columns.taps; ++b) {
      const float cell = cells[b * window.dilations[1]];
      out = max ? MaxOf(out, cell) : out + cell;
    }
  }
  if (!max) {
    const int64_t cells = args.kind == WindowPoolArgs::Kind::kAverageOfPadded
                              ? static_cast<int64_t>(rows.padded_taps) * columns.padded_taps
                              : static_cast<int64_t>(rows.taps) * columns.taps;
    out = cells == 0 ? 0.0F : out / static_cast<float>(cells);
  }
  args.y[i] = Finished(args.epilogue, 0, i, out);
}

SHOJI_DEVICE float Mapped(const MapArgs& args, uint32_t channel, uint32_t i, float v) {
  return Finished(args.epilogue, channel, i, args.scale == nullptr ? v : v * args.scale[channel]);
}

SHOJI_DEVICE void Element(const MapArgs& args, uint32_t i) {
  args.y[i] = Mapped(args, ChannelOf(i, args.inner, args.channels), i, args.x[i]);
}

SHOJI_DEVICE void Element(const PairArgs& args, uint32_t i) {
  const float a = args.a[OffsetAt(args.nest, 0, i)];
  const float b = args.b[OffsetAt(args.nest, 1, i)];
  args.y[i] = Finished(args.epilogue, 0, i, Combined(args.kind, a, b));
}

SHOJI_DEVICE void Element(const CopyArgs& args, uint32_t i) {
  args.y[OffsetAt(args.nest, 2, i)] = args.x[OffsetAt(args.nest, 0, i)];
}

SHOJI_DEVICE void Element(const FillArgs& args, uint32_t i) { args.y[i] = args.value; }

SHOJI_DEVICE void Element(const LrnArgs& args, uint32_t i) {
  const uint32_t channel = i / args.inner % args.extent;
  const uint32_t first = channel < args.before ? 0 : channel - args.before;
  const uint32_t last = args.after < args.extent - 1 - channel ? channel + args.after : args.extent - 1;
  const float* x = args.x + (i - channel * args.inner);
  float sum = 0;
  for (uint32_t c = first; c <= last; ++c) {
    const float v = x[static_cast<int64_t>(c) * args.inner];
    sum += v * v;
  }
  const float base = args.bias + args.factor * sum;
  args.y[i] = args.x[i] / powf(base, args.beta);
}

SHOJI_DEVICE void Element(const QuantizeArgs& args, uint32_t i) {
  // The arguments' order makes what is not a number `low`.
  const float step = MinOf(MaxOf(args.low, args.x[i] / args.scale), args.high);
  args.y[i] = rintf(step) * args.scale;
}

SHOJI_DEVICE void Element(const GatherArgs& args, uint32_t i) {
  const uint32_t row = i / args.inner;
  const uint32_t outer = row / args.num_indices;
  uint32_t index = 0;
  memcpy(&index, args.indices + (row - outer * args.num_indices), sizeof(index));
  args.y[i] = args.x[static_cast<int64_t>(outer * args.extent + index) * args.inner + (i - row * args.inner)];
}

// The terms and the end of a reduction, whose sum or maximum the threads of a block make together.
SHOJI_DEVICE float TermOf(const ReduceArgs& args, int32_t begin, uint32_t term) {
  return args.x[begin + OffsetAt(args.terms, 0, term)];
}
SHOJI_DEVICE float ReducedBy(const ReduceArgs& args, float a, float b) {
  return args.kind == ReduceArgs::Kind::kMax ? MaxOf(a, b) : a + b;
}
SHOJI_DEVICE float ReductionStart(const ReduceArgs& args) {
  return args.kind == ReduceArgs::Kind::kMax ? -INFINITY : 0.0F;
}
SHOJI_DEVICE void FinishReduction(const ReduceArgs& args, uint32_t i, float v) {
  if (args.kind == ReduceArgs::Kind::kMean) {
    v /= static_cast<float>(args.num_terms);
  }
  args.y[i] = Finished(args.epilogue, 0, i, v);
}

}  // namespace shoji::accelerator::open_segment

// NOLINTEND(bugprone-implicit-widening-of-multiplication-result)
