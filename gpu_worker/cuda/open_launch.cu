// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/open_launch.h"

#include <cstdint>
#include <variant>

#include "gpu_worker/cuda/open_elements.h"
#include "gpu_worker/cuda/open_multiply.cuh"

namespace shoji::accelerator::open_segment {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kReducers = 128;  // threads of a block that reduces
constexpr uint32_t kWarp = 32;
constexpr uint32_t kLanes = 0xffffffffU;

uint32_t BlocksFor(uint32_t count) { return (count + kThreads - 1) / kThreads; }

template <typename Args>
__global__ void __launch_bounds__(kThreads) ForEach(const __grid_constant__ Args args) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i < args.count) {
    Element(args, i);
  }
}

// Of all threads of a block, in a fixed order; every thread gets it.
template <typename Combine>
__device__ float OverBlock(float v, float start, const Combine& combine) {
  __shared__ float warps[kReducers / kWarp];
  for (uint32_t distance = kWarp / 2; distance > 0; distance /= 2) {
    v = combine(v, __shfl_xor_sync(kLanes, v, distance));
  }
  __syncthreads();  // the last use of `warps` is over
  if (threadIdx.x % kWarp == 0) {
    warps[threadIdx.x / kWarp] = v;
  }
  __syncthreads();
  float out = start;
  for (const float warp : warps) {
    out = combine(out, warp);
  }
  return out;
}

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Most {
  __device__ float operator()(float a, float b) const { return MaxOf(a, b); }
};

__global__ void __launch_bounds__(kReducers) Reduce(const __grid_constant__ ReduceArgs args) {
  const int32_t begin = OffsetAt(args.outputs, 0, blockIdx.x);
  float v = ReductionStart(args);
  for (uint32_t term = threadIdx.x; term < args.num_terms; term += kReducers) {
    v = ReducedBy(args, v, TermOf(args, begin, term));
  }
  v = OverBlock(v, ReductionStart(args), [&](float a, float b) { return ReducedBy(args, a, b); });
  if (threadIdx.x == 0) {
    FinishReduction(args, blockIdx.x, v);
  }
}

__global__ void __launch_bounds__(kReducers) Softmax(const __grid_constant__ SoftmaxArgs args) {
  const uint32_t outer = blockIdx.x / args.inner;
  const size_t begin = static_cast<size_t>(outer) * args.extent * args.inner + (blockIdx.x - outer * args.inner);
  const float* x = args.x + begin;
  float* y = args.y + begin;
  constexpr float kLowest = -3.402823466e+38F;
  float most = kLowest;
  for (uint32_t i = threadIdx.x; i < args.extent; i += kReducers) {
    most = MaxOf(most, x[static_cast<size_t>(i) * args.inner]);
  }
  most = OverBlock(most, kLowest, Most());
  float sum = 0;
  for (uint32_t i = threadIdx.x; i < args.extent; i += kReducers) {
    sum += expf(x[static_cast<size_t>(i) * args.inner] - most);
  }
  sum = OverBlock(sum, 0, Add());
  for (uint32_t i = threadIdx.x; i < args.extent; i += kReducers) {
    y[static_cast<size_t>(i) * args.inner] = expf(x[static_cast<size_t>(i) * args.inner] - most) / sum;
  }
}

__device__ float Product(const float4& a, const float4& b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

// kRows outputs a block, which all read x at the same time; in vectors of four, which requires that rows are aligned to
// them.
template <uint32_t kRows>
__global__ void __launch_bounds__(kReducers) DenseOfFours(const __grid_constant__ DenseArgs args) {
  const uint32_t fours = args.inputs / 4;
  const auto* x = reinterpret_cast<const float4*>(args.x);
  const auto* w = reinterpret_cast<const float4*>(args.w);
  const uint32_t first = blockIdx.x * kRows;
  float sums[kRows] = {};
#pragma unroll 2
  for (uint32_t k = threadIdx.x; k < fours; k += kReducers) {
    const float4 right = x[k];
#pragma unroll
    for (uint32_t row = 0; row < kRows; ++row) {
      const uint32_t output = min(first + row, args.outputs - 1);
      sums[row] += Product(w[static_cast<size_t>(output) * fours + k], right);
    }
  }
  for (uint32_t row = 0; row < kRows; ++row) {
    const float sum = OverBlock(sums[row], 0, Add());
    if (threadIdx.x == 0 && first + row < args.outputs) {
      args.y[first + row] = Finished(args.epilogue, first + row, first + row, args.factor * sum);
    }
  }
}

__global__ void __launch_bounds__(kReducers) Dense(const __grid_constant__ DenseArgs args) {
  const float* w = args.w + static_cast<size_t>(blockIdx.x) * args.inputs;
  float sum = 0;
  for (uint32_t k = threadIdx.x; k < args.inputs; k += kReducers) {
    sum += w[k] * args.x[k];
  }
  sum = OverBlock(sum, 0, Add());
  if (threadIdx.x == 0) {
    args.y[blockIdx.x] = Finished(args.epilogue, blockIdx.x, blockIdx.x, args.factor * sum);
  }
}

__global__ void __launch_bounds__(kThreads) MapFours(const __grid_constant__ MapArgs args) {
  const uint32_t i = 4 * (blockIdx.x * kThreads + threadIdx.x);
  if (i >= args.count) {
    return;
  }
  const uint32_t channel = ChannelOf(i, args.inner, args.channels);
  float4 v = *reinterpret_cast<const float4*>(args.x + i);
  v.x = Mapped(args, channel, i, v.x);
  v.y = Mapped(args, channel, i + 1, v.y);
  v.z = Mapped(args, channel, i + 2, v.z);
  v.w = Mapped(args, channel, i + 3, v.w);
  *reinterpret_cast<float4*>(args.y + i) = v;
}

bool AreFours(const float* pointer) { return reinterpret_cast<uintptr_t>(pointer) % sizeof(float4) == 0; }

template <typename Args>
void LaunchOne(const Args& args, cudaStream_t stream) {
  if (args.count > 0) {
    ForEach<<<BlocksFor(args.count), kThreads, 0, stream>>>(args);
  }
}

void LaunchOne(const MapArgs& args, cudaStream_t stream) {
  const bool one_channel_each = args.channels == 1 ? args.count % 4 == 0 : args.inner % 4 == 0;
  if (one_channel_each && AreFours(args.x) && AreFours(args.y)) {
    MapFours<<<BlocksFor(args.count / 4), kThreads, 0, stream>>>(args);
  } else {
    ForEach<<<BlocksFor(args.count), kThreads, 0, stream>>>(args);
  }
}

template <int kRows, int kColumns, int kThreadColumns>
void LaunchTile(const MultiplyArgs& args, cudaStream_t stream) {
  const uint32_t tiles = ((args.m + kRows - 1) / kRows) * ((args.n + kColumns - 1) / kColumns);
  const dim3 grid(tiles, args.splits, args.count);
  constexpr int kThreads = TileShape<kRows, kColumns, kThreadColumns>::kThreads;
  if (args.taps != nullptr) {
    MultiplyTile<kRows, kColumns, kThreadColumns, true><<<grid, kThreads, 0, stream>>>(args);
  } else {
    MultiplyTile<kRows, kColumns, kThreadColumns, false><<<grid, kThreads, 0, stream>>>(args);
  }
}

void LaunchOne(const MultiplyArgs& args, cudaStream_t stream) {
  switch (args.tile) {
    case MultiplyArgs::Tile::k128x128:
      return LaunchTile<128, 128, 8>(args, stream);
    case MultiplyArgs::Tile::k128x64:
      return LaunchTile<128, 64, 8>(args, stream);
    case MultiplyArgs::Tile::k64x64:
      return LaunchTile<64, 64, 4>(args, stream);
    case MultiplyArgs::Tile::k64x32:
      return LaunchTile<64, 32, 4>(args, stream);
  }
}

void LaunchOne(const DenseArgs& args, cudaStream_t stream) {
  constexpr uint32_t kMany = 1024;  // enough blocks for a device with four outputs in each
  if (args.inputs % 4 != 0 || !AreFours(args.x) || !AreFours(args.w)) {
    Dense<<<args.outputs, kReducers, 0, stream>>>(args);
  } else if (args.outputs >= kMany) {
    DenseOfFours<4><<<(args.outputs + 3) / 4, kReducers, 0, stream>>>(args);
  } else {
    DenseOfFours<1><<<args.outputs, kReducers, 0, stream>>>(args);
  }
}

void LaunchOne(const ReduceArgs& args, cudaStream_t stream) { Reduce<<<args.count, kReducers, 0, stream>>>(args); }

void LaunchOne(const SoftmaxArgs& args, cudaStream_t stream) {
  Softmax<<<args.outer * args.inner, kReducers, 0, stream>>>(args);
}

}  // namespace

void Launch(const Kernel& kernel, cudaStream_t stream) {
  std::visit([stream](const auto& args) { LaunchOne(args, stream); }, kernel);
}

}  // namespace shoji::accelerator::open_segment
