// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Matrix products and convolutions in float32. A block computes a tile of y, with kDepth rows of k at a time in shared
// memory, twice: while one half is multiplied, the next rows are on the way to the other. Each thread keeps 8 x
// kThreadColumns sums, in fours of rows and of columns, so that it reads shared memory in whole vectors. A convolution
// is the same product: what its windows read is gathered on the way to shared memory, by a table of taps, and never
// stands in memory itself. The order of every sum is fixed by the arguments.
#pragma once

#include <cstdint>

#include "gpu_worker/cuda/open_elements.h"

#ifdef __CUDACC__
#define SHOJI_UNROLL _Pragma("unroll")
#else
#define SHOJI_UNROLL
#endif

namespace shoji::accelerator::open_segment {

// Not inlined: each thread ends with 8 or 16 of these.
__device__ __noinline__ inline float4 ActivatedFour(const Epilogue& epilogue, float4 v) {
  for (uint32_t i = 0; i < epilogue.num_activations; ++i) {
    const kernels::Activation& activation = epilogue.activations[i];
    v.x = Activated(activation, v.x);
    v.y = Activated(activation, v.y);
    v.z = Activated(activation, v.z);
    v.w = Activated(activation, v.w);
  }
  return v;
}

__device__ inline bool IsAlignedToFour(const float* p) { return reinterpret_cast<uintptr_t>(p) % sizeof(float4) == 0; }

// Four neighbours, of which the first `valid` exist.
__device__ inline float4 LoadFour(const float* from, uint32_t valid) {
  if (valid == 4 && IsAlignedToFour(from)) {
    return *reinterpret_cast<const float4*>(from);
  }
  float4 v = make_float4(from[0], 0, 0, 0);
  v.y = valid > 1 ? from[1] : 0;
  v.z = valid > 2 ? from[2] : 0;
  v.w = valid > 3 ? from[3] : 0;
  return v;
}
__device__ inline void StoreFour(float* to, uint32_t valid, const float4& v) {
  if (valid == 4 && IsAlignedToFour(to)) {
    *reinterpret_cast<float4*>(to) = v;
    return;
  }
  to[0] = v.x;
  if (valid > 1) {
    to[1] = v.y;
  }
  if (valid > 2) {
    to[2] = v.z;
  }
  if (valid > 3) {
    to[3] = v.w;
  }
}
__device__ inline float4 SumOf(const float4& a, const float4& b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

template <int kRows, int kColumns, int kThreadColumns>
struct TileShape {
  static constexpr int kThreadRows = 8;
  static constexpr int kDepth = 16;
  static constexpr int kThreads = (kRows / kThreadRows) * (kColumns / kThreadColumns);
  static constexpr int kBlocksWanted = 512 / kThreads;  // on a multiprocessor
};

template <int kRows, int kColumns, int kThreadColumns, bool kGathers>
class TileProduct {
 public:
  using Form = TileShape<kRows, kColumns, kThreadColumns>;
  static constexpr int kDepth = Form::kDepth;
  static constexpr int kThreads = Form::kThreads;
  static constexpr int kThreadRows = Form::kThreadRows;

  struct alignas(sizeof(float4)) Shared {
    float a[2][kDepth][kRows];
    float b[2][kDepth][kColumns];
  };

  __device__ TileProduct(const MultiplyArgs& args, Shared& shared) : args_(args), shared_(shared) {
    const uint32_t row_tiles = (args.m + kRows - 1) / kRows;
    first_row_ = blockIdx.x % row_tiles * kRows;
    first_column_ = blockIdx.x / row_tiles * kColumns;
    a_row_ = first_row_ + threadIdx.x % kRows;
    b_column_ = first_column_ + threadIdx.x % kColumns;
    a_ = args.a + OffsetAt(args.batch, 0, blockIdx.z);
    b_ = args.b + OffsetAt(args.batch, 1, blockIdx.z);
    if (kGathers && b_column_ < args.n) {
      corner_ = CornerOf(args.window, b_column_);
    }
  }

  __device__ void Run() {
    const uint32_t begin = blockIdx.y * args_.k_per_split;
    const uint32_t end = min(args_.k, begin + args_.k_per_split);
    Fetch(begin, end);
    Store(0);
    __syncthreads();
    int half = 0;
    for (uint32_t k = begin; k < end; k += kDepth) {
      const bool goes_on = k + kDepth < end;
      if (goes_on) {
        Fetch(k + kDepth, end);
      }
      Multiply(half);
      if (goes_on) {
        Store(half ^ 1);
      }
      __syncthreads();
      half ^= 1;
    }
    Finish();
  }

 private:
  static constexpr int kALoads = kDepth * kRows / kThreads;
  static constexpr int kBLoads = kDepth * kColumns / kThreads;
  static constexpr int kARowsOfK = kThreads / kRows;  // that the threads load at a time
  static constexpr int kBRowsOfK = kThreads / kColumns;
  static constexpr int kRowFours = kThreadRows / 4;
  static constexpr int kColumnFours = kThreadColumns / 4;
  static constexpr int kWarpsAcross = kColumns / kThreadColumns / 8;

  __device__ void Fetch(uint32_t k, uint32_t end) {
    const bool in_rows = a_row_ < args_.m;
    const bool in_columns = b_column_ < args_.n;
SHOJI_UNROLL
    for (int i = 0; i < kALoads; ++i) {
      const uint32_t at = k + threadIdx.x / kRows + i * kARowsOfK;
      fetched_a_[i] = in_rows && at < end ? a_[static_cast<size_t>(at) * args_.m + a_row_] : 0.0F;
    }
SHOJI_UNROLL
    for (int i = 0; i < kBLoads; ++i) {
      const uint32_t at = k + threadIdx.x / kColumns + i * kBRowsOfK;
      float v = 0;
      if (in_columns && at < end) {
        v = kGathers ? CellAt(args_.window, b_, corner_, args_.taps[at])
                     : b_[static_cast<size_t>(at) * args_.n + b_column_];
      }
      fetched_b_[i] = v;
    }
  }

  __device__ void Store(int half) {
SHOJI_UNROLL
    for (int i = 0; i < kALoads; ++i) {
      shared_.a[half][threadIdx.x / kRows + i * kARowsOfK][threadIdx.x % kRows] = fetched_a_[i];
    }
SHOJI_UNROLL
    for (int i = 0; i < kBLoads; ++i) {
      shared_.b[half][threadIdx.x / kColumns + i * kBRowsOfK][threadIdx.x % kColumns] = fetched_b_[i];
    }
  }

  // The first row of a thread's fours of rows in the tile, and the first column. A warp is 4 threads high and 8 wide, so
  // that a quarter of it reads 128 bytes of b and 16 of a at a time.
  __device__ static int RowOf(int four) {
    const int down = threadIdx.x / 32 / kWarpsAcross * 4 + threadIdx.x % 32 / 8;
    return down * 4 + four * (kRows / kRowFours);
  }
  __device__ static int ColumnOf(int four) {
    const int across = threadIdx.x / 32 % kWarpsAcross * 8 + threadIdx.x % 8;
    return across * 4 + four * (kColumns / kColumnFours);
  }

  __device__ void Multiply(int half) {
SHOJI_UNROLL
    for (int k = 0; k < kDepth; ++k) {
      float a[kThreadRows];
      float b[kThreadColumns];
SHOJI_UNROLL
      for (int four = 0; four < kRowFours; ++four) {
        *reinterpret_cast<float4*>(a + 4 * four) = *reinterpret_cast<const float4*>(&shared_.a[half][k][RowOf(four)]);
      }
SHOJI_UNROLL
      for (int four = 0; four < kColumnFours; ++four) {
        *reinterpret_cast<float4*>(b + 4 * four) =
            *reinterpret_cast<const float4*>(&shared_.b[half][k][ColumnOf(four)]);
      }
SHOJI_UNROLL
      for (int row = 0; row < kThreadRows; ++row) {
SHOJI_UNROLL
        for (int column = 0; column < kThreadColumns; ++column) {
          sums_[row][column] += a[row] * b[column];
        }
      }
    }
  }

  __device__ void Finish() {
SHOJI_UNROLL
    for (int row = 0; row < kThreadRows; ++row) {
      const uint32_t tile_row = first_row_ + RowOf(row / 4) + row % 4;
      if (tile_row >= args_.m) {
        continue;
      }
      const uint32_t y_row = blockIdx.z * args_.m + tile_row;
SHOJI_UNROLL
      for (int four = 0; four < kColumnFours; ++four) {
        const uint32_t column = first_column_ + ColumnOf(four);
        if (column < args_.n) {
          const float* sums = sums_[row] + 4 * four;
          Put(y_row, column, make_float4(sums[0], sums[1], sums[2], sums[3]));
        }
      }
    }
  }

  __device__ void Put(uint32_t y_row, uint32_t column, float4 v) {
    const uint32_t index = y_row * args_.n + column;
    const uint32_t valid = min(4U, args_.n - column);
    if (args_.splits > 1) {
      const size_t part = static_cast<size_t>(blockIdx.y) * args_.count * args_.m * args_.n;
      StoreFour(args_.y + part + index, valid, v);
      return;
    }
    const Epilogue& epilogue = args_.epilogue;
    v = make_float4(v.x * args_.factor, v.y * args_.factor, v.z * args_.factor, v.w * args_.factor);
    if (epilogue.bias != nullptr) {
      v = SumOf(v, BiasAt(y_row, index, valid));
    }
    if (epilogue.residual != nullptr) {
      v = SumOf(v, LoadFour(epilogue.residual + index, valid));
    }
    if (epilogue.num_activations == 1 && epilogue.activations[0].kind == kernels::Activation::Kind::kRelu) {
      v = make_float4(v.x < 0 ? 0 : v.x, v.y < 0 ? 0 : v.y, v.z < 0 ? 0 : v.z, v.w < 0 ? 0 : v.w);
    } else if (epilogue.num_activations > 0) {
      v = ActivatedFour(epilogue, v);
    }
    StoreFour(args_.y + index, valid, v);
  }

  // Channels change from row to row, or else from column to column, of which a row has no more than there are channels.
  __device__ float4 BiasAt(uint32_t y_row, uint32_t index, uint32_t valid) const {
    const float* const bias = args_.epilogue.bias;
    if (args_.inner == args_.n || args_.channels == 1) {
      const float v = bias[y_row < args_.channels ? y_row : y_row % args_.channels];
      return make_float4(v, v, v, v);
    }
    return LoadFour(bias + ChannelOf(index, args_.inner, args_.channels), valid);
  }

  const MultiplyArgs& args_;
  Shared& shared_;
  const float* a_;
  const float* b_;
  uint32_t first_row_;
  uint32_t first_column_;
  uint32_t a_row_;     // that this thread loads
  uint32_t b_column_;  // likewise
  Corner corner_;
  float fetched_a_[kALoads];
  float fetched_b_[kBLoads];
  float sums_[kThreadRows][kThreadColumns] = {};
};

template <int kRows, int kColumns, int kThreadColumns, bool kGathers>
__global__ void __launch_bounds__(TileShape<kRows, kColumns, kThreadColumns>::kThreads,
                                  TileShape<kRows, kColumns, kThreadColumns>::kBlocksWanted)
    MultiplyTile(const __grid_constant__ MultiplyArgs args) {
  using Product = TileProduct<kRows, kColumns, kThreadColumns, kGathers>;
  __shared__ typename Product::Shared shared;
  Product(args, shared).Run();
}

}  // namespace shoji::accelerator::open_segment
