// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/cuda/ring_tensor_core.h"

#include "gpu_worker/cuda/ring_device.cuh"

namespace shoji::accelerator {
namespace {

//
// C[m][n] = sum_k A[m][k] * B[n][k]: m counts positions, n output channels of a group, k bytes of a weight row. A block
// makes kM x kN of C in steps of kK bytes of k, first for the highest limb, then for the others. A is gathered from the
// input as it goes, so no matrix of windows is ever made. Steps are fetched kStages - 1 ahead.
//
// In shared memory a row has kK bytes in chunks of 16; chunk c of row r lies at place c ^ (r / 2 % 4), so that the eight
// rows that one ldmatrix reads lie in different banks.

constexpr int kK = kRingRowBytes;
constexpr int kStages = 3;

struct Tile {
  int m;
  int n;
  int warp_m;
  int warp_n;
};
constexpr Tile kLarge = {128, 128, 64, 32};
constexpr Tile kSmall = {64, kRingTileChannels, 32, 32};
__host__ __device__ constexpr int ThreadsOf(Tile t) { return t.m / t.warp_m * (t.n / t.warp_n) * 32; }
__host__ __device__ constexpr int StageBytes(Tile t) { return (t.m + t.n) * kK; }
__host__ __device__ constexpr int SharedBytes(Tile t) { return kStages * StageBytes(t) + t.m * static_cast<int>(sizeof(Origin)); }

__device__ __forceinline__ uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ int32_t PlaceOf(int32_t row, int32_t chunk) {
  return row * kK + (chunk ^ (row / 2 % 4)) * 16;
}

// kBytes bytes from global to shared memory, or zeros where `from` is null; done after WaitForCopies.
template <int kBytes>
__device__ __forceinline__ void CopyAsync(uint8_t* to, const void* from, const void* anywhere) {
#if __CUDA_ARCH__ >= 800
  const uint32_t bytes = from == nullptr ? 0 : kBytes;
  const void* const source = from == nullptr ? anywhere : from;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(SharedAddress(to)), "l"(source), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(SharedAddress(to)), "l"(source), "r"(bytes)
                 : "memory");
  }
#else
  if constexpr (kBytes == 16) {
    *reinterpret_cast<uint4*>(to) = from == nullptr ? make_uint4(0, 0, 0, 0) : *static_cast<const uint4*>(from);
  } else {
    *reinterpret_cast<uint32_t*>(to) = from == nullptr ? 0 : *static_cast<const uint32_t*>(from);
  }
#endif
}
__device__ __forceinline__ void CommitCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// All but the last kStages - 2 groups.
__device__ __forceinline__ void WaitForCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2) : "memory");
#endif
}

__device__ __forceinline__ void LoadMatrices(uint32_t (&out)[4], const uint8_t* from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(SharedAddress(from))
               : "memory");
}

// c += a * b; 16 rows of unsigned bytes, 8 columns of signed ones, 32 of them each.
__device__ __forceinline__ void MultiplyAdd(uint32_t (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  // The same in quarters: a[0] and a[2] are rows 0 to 7, a[1] and a[3] rows 8 to 15; the first of each pair is k < 16.
  for (int half = 0; half < 2; ++half) {
    for (int part = 0; part < 2; ++part) {
      asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                   : "+r"(c[2 * half]), "+r"(c[2 * half + 1])
                   : "r"(a[half + 2 * part]), "r"(part == 0 ? b0 : b1));
    }
  }
#endif
}

// Fetches the step of A at byte `k` of a row, of the limb at `limbs`. kBytes: 16 where no chunk of 16 bytes crosses a
// tap, else 4.
template <int kM, int kThreads, int kBytes>
__device__ __forceinline__ void FetchA(const RingConv& p, const uint8_t* limbs, int32_t group_channel, int32_t k0,
                                       const Origin* origins, uint8_t* to) {
  constexpr int kPerRow = kK / kBytes;
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const int32_t column = thread % kPerRow;
  const int32_t k = k0 + column * kBytes;
  const uint32_t tap = Divide(static_cast<uint32_t>(k), p.tap_bytes);
  const int32_t channel = group_channel + k - static_cast<int32_t>(tap * p.tap_bytes.value);
  const auto tap_row = static_cast<int32_t>(Divide(tap, p.kernel_columns));
  const int32_t tap_column = static_cast<int32_t>(tap) - tap_row * p.kernel_width;
  const bool is_tail = tap_row >= p.kernel_height;  // weights are zero there
#pragma unroll
  for (int32_t row = thread / kPerRow; row < kM; row += kThreads / kPerRow) {
    const Origin origin = origins[row];
    const uint8_t* const pixel = is_tail ? nullptr : PixelAt(p, limbs, origin, tap_row, tap_column);
    uint8_t* const place = to + PlaceOf(row, column * kBytes / 16) + column * kBytes % 16;
    if (pixel == nullptr && p.padding != 0) {
#pragma unroll
      for (int i = 0; i < kBytes / 4; ++i) {
        reinterpret_cast<uint32_t*>(place)[i] = p.padding;
      }
    } else {
      CopyAsync<kBytes>(place, pixel == nullptr ? nullptr : pixel + channel, limbs);
    }
  }
}

template <int kN, int kThreads>
__device__ __forceinline__ void FetchB(const RingConv& p, const int8_t* weights, int32_t first, int32_t k0,
                                       uint8_t* to) {
  const int32_t chunk = static_cast<int32_t>(threadIdx.x) % (kK / 16);
#pragma unroll
  for (int32_t row = static_cast<int32_t>(threadIdx.x) / (kK / 16); row < kN; row += kThreads / (kK / 16)) {
    const int32_t channel = first + row;
    const int8_t* const from =
        channel < p.out_channels ? weights + static_cast<int64_t>(channel) * p.row_bytes + k0 + chunk * 16 : nullptr;
    CopyAsync<16>(to + PlaceOf(row, chunk), from, weights);
  }
}

// Eight columns of a row: the lane has two, 2 * (lane % 4) and the next, of `position`.
__device__ __forceinline__ void StorePair(const RingConv& p, uint8_t* words, uint32_t position, bool is_valid,
                                          int32_t channel, uint32_t first, uint32_t second) {
  if (p.word_bytes == 4) {
    if (is_valid) {
      auto* const to = reinterpret_cast<uint2*>(words + (static_cast<int64_t>(position) * p.word_channels + channel) * 4);
      *to = make_uint2(first, second);
    }
    return;
  }
  // Two lanes have four words, which are three registers.
  const uint32_t low = 0xFFFFFFU;
  const uint32_t other = __shfl_xor_sync(0xFFFFFFFFU, first, 1);
  if (is_valid) {
    const bool is_left = channel % 4 == 0;
    const int64_t at = static_cast<int64_t>(position) * p.word_channels + (is_left ? channel : channel - 2);
    auto* const to = reinterpret_cast<uint32_t*>(words + at * 3);
    if (is_left) {
      to[0] = (first & low) | second << 24;
      to[1] = (second & low) >> 8 | other << 16;
    } else {
      to[2] = (first & low) >> 16 | second << 8;
    }
  }
}

template <int kM, int kN, int kWarpM, int kWarpN, int kBytes>
__global__ void __launch_bounds__(ThreadsOf({kM, kN, kWarpM, kWarpN}))
    TensorCoreKernel(const RingConv p, uint32_t begin, const uint8_t* limbs, const int8_t* weights, uint8_t* words) {
  constexpr int kThreads = ThreadsOf({kM, kN, kWarpM, kWarpN});
  constexpr int kStage = StageBytes({kM, kN, kWarpM, kWarpN});
  constexpr int kRows = kWarpM / 16;
  constexpr int kColumns = kWarpN / 8;
  static_assert(kColumns % 2 == 0);
  extern __shared__ __align__(128) uint8_t shared[];
  auto* const origins = reinterpret_cast<Origin*>(shared + kStages * kStage);

  const auto tiles_n = (p.out_channels + kN - 1) / kN;
  const int32_t group = static_cast<int32_t>(blockIdx.y) / tiles_n;
  const int32_t first_channel = (static_cast<int32_t>(blockIdx.y) - group * tiles_n) * kN;
  const uint32_t first_position = begin + blockIdx.x * kM;
  const int8_t* const own_weights = weights + static_cast<int64_t>(group) * p.out_channels * p.row_bytes;

  for (uint32_t row = threadIdx.x; row < kM; row += kThreads) {
    const uint32_t position = first_position + row;
    origins[row] = position < static_cast<uint32_t>(p.num_positions)
                       ? OriginOf(p, position)
                       : OriginOf(p, static_cast<uint32_t>(p.num_positions) - 1);  // computed, not stored
  }
  __syncthreads();

  const int32_t steps_a_limb = p.row_bytes / kK;
  const int32_t steps = steps_a_limb * p.num_limbs;
  int32_t fetched = 0;
  int32_t fetched_k = 0;
  const uint8_t* fetched_limb = limbs + (p.num_limbs - 1) * p.plane_bytes;
  const auto fetch = [&] {
    if (fetched < steps) {
      uint8_t* const to = shared + fetched % kStages * kStage;
      FetchA<kM, kThreads, kBytes>(p, fetched_limb, group * p.in_channels, fetched_k, origins, to);
      FetchB<kN, kThreads>(p, own_weights, first_channel, fetched_k, to + kM * kK);
      ++fetched;
      fetched_k += kK;
      if (fetched_k == p.row_bytes) {
        fetched_k = 0;
        fetched_limb -= fetched < steps ? p.plane_bytes : 0;
      }
    }
    CommitCopies();
  };
  for (int i = 0; i < kStages - 1; ++i) {
    fetch();
  }

  const auto lane = static_cast<int32_t>(threadIdx.x % 32);
  const auto warp = static_cast<int32_t>(threadIdx.x / 32);
  const int32_t warp_row = warp % (kM / kWarpM) * kWarpM;
  const int32_t warp_column = warp / (kM / kWarpM) * kWarpN;
  uint32_t sums[kRows][kColumns][4] = {};
  int32_t step_of_limb = 0;
  for (int32_t step = 0; step < steps; ++step) {
    WaitForCopies();
    __syncthreads();
    fetch();
    if (step_of_limb == steps_a_limb) {
      step_of_limb = 0;
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
#pragma unroll
        for (int j = 0; j < kColumns; ++j) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            sums[i][j][e] <<= 8;
          }
        }
      }
    }
    ++step_of_limb;
    const uint8_t* const a_step = shared + step % kStages * kStage;
    const uint8_t* const b_step = a_step + kM * kK;
#pragma unroll
    for (int part = 0; part < kK / 32; ++part) {
      uint32_t a[kRows][4];
      uint32_t b[kColumns / 2][4];
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        LoadMatrices(a[i], a_step + PlaceOf(warp_row + i * 16 + lane % 16, 2 * part + lane / 16));
      }
#pragma unroll
      for (int j = 0; j < kColumns / 2; ++j) {
        LoadMatrices(b[j], b_step + PlaceOf(warp_column + j * 16 + lane % 8 + lane / 16 * 8, 2 * part + lane / 8 % 2));
      }
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
#pragma unroll
        for (int j = 0; j < kColumns; ++j) {
          MultiplyAdd(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
  }

  const int32_t stored_channels = (p.out_channels + 3) / 4 * 4;  // padding is zero, as its weights are
#pragma unroll
  for (int i = 0; i < kRows; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t position = first_position + warp_row + i * 16 + half * 8 + lane / 4;
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        const int32_t channel = first_channel + warp_column + j * 8 + lane % 4 * 2;
        const bool is_valid = position < static_cast<uint32_t>(p.num_positions) && channel < stored_channels;
        StorePair(p, words, position, is_valid, group * p.out_channels + channel, sums[i][j][2 * half],
                  sums[i][j][2 * half + 1]);
      }
    }
  }
}

// Large tiles do more with what they load, small ones keep more multiprocessors busy.
bool WantsLarge(const RingConv& conv, int num_multiprocessors) {
  const int64_t tiles_m = (conv.num_positions + kLarge.m - 1) / kLarge.m;
  const int64_t tiles_n = (conv.out_channels + kLarge.n - 1) / kLarge.n;
  return conv.out_channels > kSmall.n && tiles_m * tiles_n * conv.groups >= num_multiprocessors;
}

template <int kM, int kN, int kWarpM, int kWarpN, int kBytes>
cudaError_t LaunchTile(const RingConv& conv, int32_t begin, int32_t end, const uint8_t* limbs, const int8_t* weights,
                       uint8_t* words, cudaStream_t stream) {
  constexpr Tile kTile = {kM, kN, kWarpM, kWarpN};
  const auto kernel = TensorCoreKernel<kM, kN, kWarpM, kWarpN, kBytes>;
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, SharedBytes(kTile));
  if (error != cudaSuccess) {
    return error;
  }
  const dim3 grid((end - begin + kM - 1) / kM, (conv.out_channels + kN - 1) / kN * conv.groups);
  kernel<<<grid, ThreadsOf(kTile), SharedBytes(kTile), stream>>>(conv, begin, limbs, weights, words);
  return cudaGetLastError();
}

}  // namespace

int32_t TensorCoreStep(const RingConv& conv, int num_multiprocessors) {
  return WantsLarge(conv, num_multiprocessors) ? kLarge.m : kSmall.m;
}

cudaError_t LaunchTensorCore(const RingConv& conv, int num_multiprocessors, int32_t begin, int32_t end,
                             const uint8_t* limbs, const int8_t* weights, uint8_t* words, cudaStream_t stream) {
  const bool has_chunks = conv.tap_bytes.value % 16 == 0 && conv.pixel_bytes % 16 == 0;
  if (!has_chunks) {
    return LaunchTile<kSmall.m, kSmall.n, kSmall.warp_m, kSmall.warp_n, 4>(conv, begin, end, limbs, weights, words,
                                                                           stream);
  }
  if (WantsLarge(conv, num_multiprocessors)) {
    return LaunchTile<kLarge.m, kLarge.n, kLarge.warp_m, kLarge.warp_n, 16>(conv, begin, end, limbs, weights, words,
                                                                            stream);
  }
  return LaunchTile<kSmall.m, kSmall.n, kSmall.warp_m, kSmall.warp_n, 16>(conv, begin, end, limbs, weights, words,
                                                                          stream);
}

}  // namespace shoji::accelerator
