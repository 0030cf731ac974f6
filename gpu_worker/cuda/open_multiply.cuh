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

namespace shoji::accelerator::open_segment {

// Up to four neighbours of a row of y from `index`. Not inlined: each thread ends with 8 or 16 of these.
__device__ __noinline__ inline void FinishFour(const Epilogue& epilogue, uint32_t channel, uint32_t channel_step,
                                               uint32_t index, float* v) {
  if (epilogue.bias != nullptr) {
    for (uint32_t j = 0; j < 4; ++j) {
      v[j] += epilogue.bias[channel + j * channel_step];
    }
  }
  if (epilogue.residual != nullptr) {
    for (uint32_t j = 0; j < 4; ++j) {
      v[j] += epilogue.residual[index + j];
    }
  }
  for (uint32_t i = 0; i < epilogue.num_activations; ++i) {
    for (uint32_t j = 0; j < 4; ++j) {
      v[j] = Activated(epilogue.activations[i], v[j]);
    }
  }
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

  struct Shared {
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
  static constexpr int kAcross = kColumns / kThreadColumns;  // threads

  __device__ void Fetch(uint32_t k, uint32_t end) {
    const bool in_rows = a_row_ < args_.m;
    const bool in_columns = b_column_ < args_.n;
#pragma unroll
    for (int i = 0; i < kALoads; ++i) {
      const uint32_t at = k + threadIdx.x / kRows + i * kARowsOfK;
      fetched_a_[i] = in_rows && at < end ? a_[static_cast<size_t>(at) * args_.m + a_row_] : 0.0F;
    }
#pragma unroll
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
#pragma unroll
    for (int i = 0; i < kALoads; ++i) {
      shared_.a[half][threadIdx.x / kRows + i * kARowsOfK][threadIdx.x % kRows] = fetched_a_[i];
    }
#pragma unroll
    for (int i = 0; i < kBLoads; ++i) {
      shared_.b[half][threadIdx.x / kColumns + i * kBRowsOfK][threadIdx.x % kColumns] = fetched_b_[i];
    }
  }

  // The first row of a thread's fours of rows in the tile, and the first column.
  __device__ static int RowOf(int four) { return threadIdx.x / kAcross * 4 + four * (kRows / kRowFours); }
  __device__ static int ColumnOf(int four) { return threadIdx.x % kAcross * 4 + four * (kColumns / kColumnFours); }

  __device__ void Multiply(int half) {
#pragma unroll
    for (int k = 0; k < kDepth; ++k) {
      float a[kThreadRows];
      float b[kThreadColumns];
#pragma unroll
      for (int four = 0; four < kRowFours; ++four) {
        *reinterpret_cast<float4*>(a + 4 * four) = *reinterpret_cast<const float4*>(&shared_.a[half][k][RowOf(four)]);
      }
#pragma unroll
      for (int four = 0; four < kColumnFours; ++four) {
        *reinterpret_cast<float4*>(b + 4 * four) =
            *reinterpret_cast<const float4*>(&shared_.b[half][k][ColumnOf(four)]);
      }
#pragma unroll
      for (int row = 0; row < kThreadRows; ++row) {
#pragma unroll
        for (int column = 0; column < kThreadColumns; ++column) {
          sums_[row][column] += a[row] * b[column];
        }
      }
    }
  }

  __device__ void Finish() {
#pragma unroll
    for (int row = 0; row < kThreadRows; ++row) {
      const uint32_t y_row = first_row_ + RowOf(row / 4) + row % 4;
#pragma unroll
      for (int four = 0; four < kColumnFours; ++four) {
        float v[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          v[j] = sums_[row][4 * four + j];
        }
        const uint32_t y_column = first_column_ + ColumnOf(four);
        if (y_row < args_.m && y_column < args_.n) {
          Put(y_row, y_column, v);
        }
      }
    }
  }

  __device__ void Put(uint32_t row, uint32_t column, float (&v)[4]) {
    const uint32_t y_row = blockIdx.z * args_.m + row;
    const uint32_t index = y_row * args_.n + column;
    const uint32_t valid = min(4U, args_.n - column);
    if (args_.splits > 1) {
      const size_t part = static_cast<size_t>(blockIdx.y) * args_.count * args_.m * args_.n;
      Write(args_.y + part + index, valid, v);
      return;
    }
    const bool by_row = args_.inner == args_.n;
    const uint32_t channel = by_row ? y_row % args_.channels : ChannelOf(index, args_.inner, args_.channels);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      v[j] *= args_.factor;
    }
    if (valid == 4) {
      FinishFour(args_.epilogue, channel, by_row || args_.channels == 1 ? 0 : 1, index, v);
    } else {
      for (uint32_t j = 0; j < valid; ++j) {
        v[j] = Finished(args_.epilogue, by_row || args_.channels == 1 ? channel : channel + j, index + j, v[j]);
      }
    }
    Write(args_.y + index, valid, v);
  }

  __device__ static void Write(float* to, uint32_t valid, const float (&v)[4]) {
    if (valid == 4 && reinterpret_cast<uintptr_t>(to) % sizeof(float4) == 0) {
      *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
      return;
    }
    for (uint32_t j = 0; j < valid; ++j) {
      to[j] = v[j];
    }
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
  __shared__ __align__(16) typename Product::Shared shared;
  Product(args, shared).Run();
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

}  // namespace shoji::accelerator::open_segment
