// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Float32 loops of our own on one image whose channels lie in blocks of a vector, [channels / lanes][height][width]
// [lanes], as oneDNN's convolutions have it: one table an instruction set. Their sources are compiled with flags that
// not every CPU bears, so they see plain structs and pointers only: whatever inline function they shared with other
// code, the linker might keep the copy that the wrong CPU cannot run. For the same reason this header defines none.
//
// All loops trust their arguments; none branches on a value or looks one up.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/kernels/activation.h"

namespace shoji::kernels::blocked {

// What is done to each element of a result before it is stored: + bias [channels], + residual (laid out as the result,
// which it may be; may be null), then the activations in order.
struct Finish {
  const float* bias = nullptr;
  const float* residual = nullptr;
  const Activation* activations = nullptr;
  size_t num_activations = 0;
};

// Some tiles of a 3x3 convolution by Winograd's method: outputs in tiles of `tile` x `tile` (2 or 4), numbered row by
// row. Extents are {height, width}.
struct WinogradArgs {
  size_t tile = 4;
  size_t in_blocks = 1;
  size_t out_blocks = 1;
  size_t input[2] = {1, 1};
  size_t output[2] = {1, 1};
  size_t pads[2] = {0, 0};  // top, left
  size_t first_tile = 0;
  size_t num_tiles = 1;
  const float* x = nullptr;
  const float* weights = nullptr;  // as pack_winograd stores them
  float* transformed_x = nullptr;  // (tile + 2)^2 * in_blocks * num_tiles * lanes
  float* transformed_y = nullptr;  // (tile + 2)^2 * out_blocks * num_tiles * lanes
  Finish finish;
  float* y = nullptr;
};

// Weights [out][in][3][3] of full blocks to [(tile + 2)^2][pair of output blocks][in][channels of the pair].
struct PackArgs {
  size_t tile = 4;
  size_t in_channels = 1;
  size_t out_channels = 1;
  const float* weights = nullptr;
  float* packed = nullptr;
};

// The sum over `cells` cells of each channel, times `factor`; [blocks * lanes] and [blocks][cells][lanes].
struct MeanArgs {
  size_t blocks = 1;
  size_t cells = 1;
  float factor = 1;
  const float* x = nullptr;
  float* y = nullptr;
};

// y[o] = bias[o] + sum over i of x[i] * weights[i][o]; `outputs` is a multiple of lanes.
struct RowArgs {
  size_t inputs = 1;
  size_t outputs = 1;
  const float* x = nullptr;
  const float* weights = nullptr;
  Finish finish;  // without residual
  float* y = nullptr;
};

// y = weights * x + bias, then the activations; [outputs][inputs] row-major, or [inputs][outputs] if `by_input`.
struct DenseArgs {
  size_t inputs = 1;
  size_t outputs = 1;
  bool by_input = false;
  const float* x = nullptr;
  const float* weights = nullptr;
  Finish finish;  // without residual; bias may be null
  float* y = nullptr;
};

// Every channel of x times its factor, into y, which may be x; [blocks][cells][lanes] and [blocks * lanes].
struct ScaleArgs {
  size_t blocks = 1;
  size_t cells = 1;
  const float* x = nullptr;
  const float* factors = nullptr;
  float* y = nullptr;
};

struct Ops {
  size_t lanes = 8;
  // Whether `activate` and Finish know it.
  bool (*knows)(Activation::Kind kind) = nullptr;
  void (*winograd)(const WinogradArgs&) = nullptr;
  void (*pack_winograd)(const PackArgs&) = nullptr;
  void (*mean)(const MeanArgs&) = nullptr;
  void (*row)(const RowArgs&) = nullptr;
  void (*scale)(const ScaleArgs&) = nullptr;
  void (*dense)(const DenseArgs&) = nullptr;
  // In place; `count` is a multiple of lanes.
  void (*activate)(const Activation* activations, size_t num_activations, float* x, size_t count) = nullptr;
};

const Ops& OpsAvx2();
const Ops& OpsAvx512();

}  // namespace shoji::kernels::blocked
