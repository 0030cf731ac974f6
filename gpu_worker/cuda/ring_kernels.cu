// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The ring element of a value is sum(limb_l * 2^8l), so W * u = sum((W * limb_l) * 2^8l), and with Horner's rule
//
//   acc = 0;  for l = num_limbs - 1 .. 0:  acc = acc * 2^8 + W * limb_l     (all mod 2^32)
//
// Each limb is a layer of unsigned bytes times signed bytes, which int8 tensor cores add up in 32 bits that wrap around
// where they overflow; that is exact mod 2^32, and mod 2^24 its low bits. So one accumulator serves all limbs.
#include "gpu_worker/cuda/ring_kernels.h"

namespace shoji::accelerator {
namespace {

// ---- pieces -------------------------------------------------------------------------------------------------------

__device__ __forceinline__ uint32_t Divide(uint32_t n, const Divisor& by) {
  return by.value == 1 ? n : __umulhi(n, by.multiplier) >> by.shift;
}

// Where the window of one position begins, in the input of its request, which begins at `base`.
struct alignas(16) Origin {
  int32_t row;
  int32_t column;
  int64_t base;
};

__device__ __forceinline__ Origin OriginOf(const RingConv& p, uint32_t position) {
  const uint32_t request = Divide(position, p.positions);
  const uint32_t at = position - request * p.positions.value;
  const uint32_t row = Divide(at, p.out_width);
  const uint32_t column = at - row * p.out_width.value;
  return {static_cast<int32_t>(row) * p.strides[0] - p.pads[0], static_cast<int32_t>(column) * p.strides[1] - p.pads[1],
          static_cast<int64_t>(request) * p.request_bytes};
}

// The bytes of limb 0 at one tap of a window; null where it lies in the padding.
__device__ __forceinline__ const uint8_t* PixelAt(const RingConv& p, const uint8_t* limbs, const Origin& origin,
                                                  int32_t tap_row, int32_t tap_column) {
  const int32_t row = origin.row + tap_row * p.dilations[0];
  const int32_t column = origin.column + tap_column * p.dilations[1];
  // As unsigned, what is negative is too large.
  if (static_cast<uint32_t>(row) >= static_cast<uint32_t>(p.in_height) ||
      static_cast<uint32_t>(column) >= static_cast<uint32_t>(p.in_width)) {
    return nullptr;
  }
  return limbs + origin.base + static_cast<int64_t>(row) * p.num_limbs * p.plane_bytes +
         static_cast<int64_t>(column) * p.pixel_bytes;
}

// Four elements that lie side by side, from four bytes of each limb; all limbs of the padding are its byte, and there is
// more than one only where that is 0.
__device__ __forceinline__ void LoadElements(const RingConv& p, const uint8_t* pixel, int32_t channel,
                                             uint32_t (&elements)[4]) {
  elements[0] = elements[1] = elements[2] = elements[3] = 0;
  for (int32_t limb = 0; limb < p.num_limbs; ++limb) {
    const uint32_t bytes = pixel == nullptr
                               ? p.padding
                               : *reinterpret_cast<const uint32_t*>(pixel + limb * p.plane_bytes + channel);
    for (int i = 0; i < 4; ++i) {
      elements[i] |= (bytes >> (8 * i) & 0xFFU) << (8 * limb);
    }
  }
}

__device__ __forceinline__ uint32_t LoadElement(const RingConv& p, const uint8_t* pixel, int32_t channel) {
  uint32_t element = 0;
  for (int32_t limb = 0; limb < p.num_limbs; ++limb) {
    const uint32_t byte = pixel == nullptr ? p.padding & 0xFFU : pixel[limb * p.plane_bytes + channel];
    element |= byte << (8 * limb);
  }
  return element;
}

// Channels [channel, channel + 4) of one position; `channel` is a multiple of 4.
__device__ __forceinline__ void StoreWords(const RingConv& p, uint8_t* words, uint32_t position, int32_t channel,
                                           const uint32_t (&sums)[4]) {
  uint8_t* const to = words + (static_cast<int64_t>(position) * p.word_channels + channel) * p.word_bytes;
  if (p.word_bytes == 4) {
    *reinterpret_cast<uint4*>(to) = make_uint4(sums[0], sums[1], sums[2], sums[3]);
    return;
  }
  const uint32_t low = 0xFFFFFFU;
  auto* const out = reinterpret_cast<uint32_t*>(to);
  out[0] = (sums[0] & low) | sums[1] << 24;
  out[1] = (sums[1] & low) >> 8 | sums[2] << 16;
  out[2] = (sums[2] & low) >> 16 | sums[3] << 8;
}

// acc + sum of four unsigned bytes of `a` times signed bytes of `b`.
__device__ __forceinline__ int32_t DotBytes(uint32_t a, int32_t b, int32_t acc) {
  int32_t out;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(acc));
  return out;
}

// ---- kDirect, kDepthwise: a thread makes four channels of one position --------------------------------------------

template <bool kIsDepthwise>
__global__ void __launch_bounds__(256)
    DirectKernel(const RingConv p, uint32_t begin, uint32_t end, const uint8_t* limbs, const int8_t* weights,
                 uint8_t* words) {
  const uint32_t quads = static_cast<uint32_t>(p.word_channels) / 4;
  const uint64_t index = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const uint64_t offset = index / quads;
  if (offset >= end - begin) {
    return;
  }
  const uint32_t position = begin + static_cast<uint32_t>(offset);
  const auto channel = static_cast<int32_t>(index - offset * quads) * 4;
  const Origin origin = OriginOf(p, position);
  int32_t groups[4];  // of each channel; -1: padding, whose sum stays 0
  for (int32_t j = 0; j < 4; ++j) {
    const int32_t group = (channel + j) / p.out_channels;
    groups[j] = group < p.groups ? group : -1;
  }
  uint32_t sums[4] = {0, 0, 0, 0};
  const int8_t* weight = weights + channel;
  for (int32_t tap_row = 0; tap_row < p.kernel_height; ++tap_row) {
    for (int32_t tap_column = 0; tap_column < p.kernel_width; ++tap_column) {
      const uint8_t* const pixel = PixelAt(p, limbs, origin, tap_row, tap_column);
      if (kIsDepthwise) {
        uint32_t elements[4];
        LoadElements(p, pixel, channel, elements);
        const char4 w = *reinterpret_cast<const char4*>(weight);
        weight += p.word_channels;
        sums[0] += elements[0] * static_cast<uint32_t>(static_cast<int32_t>(w.x));
        sums[1] += elements[1] * static_cast<uint32_t>(static_cast<int32_t>(w.y));
        sums[2] += elements[2] * static_cast<uint32_t>(static_cast<int32_t>(w.z));
        sums[3] += elements[3] * static_cast<uint32_t>(static_cast<int32_t>(w.w));
      } else {
        for (int32_t i = 0; i < p.in_channels; ++i, weight += p.word_channels) {
          uint32_t element = 0;
#pragma unroll
          for (int32_t j = 0; j < 4; ++j) {
            if (groups[j] < 0) {
              break;
            }
            if (j == 0 || groups[j] != groups[j - 1]) {
              element = LoadElement(p, pixel, groups[j] * p.in_channels + i);
            }
            sums[j] += element * static_cast<uint32_t>(static_cast<int32_t>(weight[j]));
          }
        }
      }
    }
  }
  StoreWords(p, words, position, channel, sums);
}

// ---- kVector: a warp makes two channels of up to kPositions positions ---------------------------------------------

constexpr int kVectorChannels = 2;

// A lane takes kBytes bytes of a weight row, then those 32 * kBytes further on.
template <int kPositions, int kBytes>
__global__ void __launch_bounds__(128)
    VectorKernel(const RingConv p, uint32_t begin, const uint8_t* limbs, const int8_t* weights, uint8_t* words) {
  constexpr int kMaxLimbs = 4;
  constexpr int kWords = kBytes / 4;
  const int32_t warp = static_cast<int32_t>((blockIdx.x * blockDim.x + threadIdx.x) / 32);
  const auto lane = static_cast<int32_t>(threadIdx.x % 32);
  const int32_t channel = warp * kVectorChannels;
  if (channel >= p.word_channels) {
    return;
  }
  const uint8_t* pixels[kPositions];
  for (int m = 0; m < kPositions; ++m) {
    const uint32_t position = min(begin + m, static_cast<uint32_t>(p.num_positions) - 1);
    pixels[m] = PixelAt(p, limbs, OriginOf(p, position), 0, 0);
  }
  int32_t sums[kVectorChannels][kPositions][kMaxLimbs] = {};
  for (int32_t k = lane * kBytes; k < p.pixel_bytes; k += 32 * kBytes) {
    int32_t w[kVectorChannels][kWords] = {};
#pragma unroll
    for (int c = 0; c < kVectorChannels; ++c) {
      if (channel + c < p.out_channels) {
        const int8_t* const from = weights + static_cast<int64_t>(channel + c) * p.row_bytes + k;
        if constexpr (kBytes == 16) {
          const int4 loaded = __ldg(reinterpret_cast<const int4*>(from));
          w[c][0] = loaded.x;
          w[c][1] = loaded.y;
          w[c][2] = loaded.z;
          w[c][3] = loaded.w;
        } else {
          w[c][0] = __ldg(reinterpret_cast<const int32_t*>(from));
        }
      }
    }
#pragma unroll
    for (int m = 0; m < kPositions; ++m) {
#pragma unroll
      for (int limb = 0; limb < kMaxLimbs; ++limb) {
        if (limb < p.num_limbs) {
          const uint8_t* const from = pixels[m] + limb * p.plane_bytes + k;
          uint32_t x[kWords];
          if constexpr (kBytes == 16) {
            const uint4 loaded = __ldg(reinterpret_cast<const uint4*>(from));
            x[0] = loaded.x;
            x[1] = loaded.y;
            x[2] = loaded.z;
            x[3] = loaded.w;
          } else {
            x[0] = __ldg(reinterpret_cast<const uint32_t*>(from));
          }
#pragma unroll
          for (int c = 0; c < kVectorChannels; ++c) {
#pragma unroll
            for (int i = 0; i < kWords; ++i) {
              sums[c][m][limb] = DotBytes(x[i], w[c][i], sums[c][m][limb]);
            }
          }
        }
      }
    }
  }
#pragma unroll
  for (int m = 0; m < kPositions; ++m) {
#pragma unroll
    for (int c = 0; c < kVectorChannels; ++c) {
      uint32_t sum = 0;
#pragma unroll
      for (int limb = 0; limb < kMaxLimbs; ++limb) {
        sum += static_cast<uint32_t>(sums[c][m][limb]) << (8 * limb);
      }
      for (int step = 16; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xFFFFFFFFU, sum, step);
      }
      const int64_t position = static_cast<int64_t>(begin) + m;
      if (lane < p.word_bytes && position < p.num_positions && channel + c < p.word_channels) {
        words[(position * p.word_channels + channel + c) * p.word_bytes + lane] =
            static_cast<uint8_t>(sum >> (8 * lane));
      }
    }
  }
}

// ---- kTensorCore --------------------------------------------------------------------------------------------------
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

// ---- launches -----------------------------------------------------------------------------------------------------

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

template <int kPositions>
cudaError_t LaunchVector(const RingConv& conv, int32_t begin, const uint8_t* limbs, const int8_t* weights,
                         uint8_t* words, cudaStream_t stream) {
  constexpr int kThreads = 128;
  constexpr int kChannels = kThreads / 32 * kVectorChannels;
  const unsigned int blocks = (conv.word_channels + kChannels - 1) / kChannels;
  if (conv.pixel_bytes % 16 == 0) {
    VectorKernel<kPositions, 16><<<blocks, kThreads, 0, stream>>>(conv, begin, limbs, weights, words);
  } else {
    VectorKernel<kPositions, 4><<<blocks, kThreads, 0, stream>>>(conv, begin, limbs, weights, words);
  }
  return cudaGetLastError();
}

cudaError_t LaunchDirect(const RingConv& conv, int32_t begin, int32_t end, const uint8_t* limbs, const int8_t* weights,
                         uint8_t* words, cudaStream_t stream) {
  constexpr int kThreads = 256;
  const int64_t threads = static_cast<int64_t>(end - begin) * (conv.word_channels / 4);
  const auto blocks = static_cast<unsigned int>((threads + kThreads - 1) / kThreads);
  const auto kernel = conv.kernel == RingKernel::kDepthwise ? DirectKernel<true> : DirectKernel<false>;
  kernel<<<blocks, kThreads, 0, stream>>>(conv, begin, end, limbs, weights, words);
  return cudaGetLastError();
}

}  // namespace

// The smallest p with 2^p >= divisor; multiplier = ceil(2^(31 + p) / divisor) is exact for numbers below 2^31.
Divisor::Divisor(uint32_t divisor) : value(divisor), multiplier(0), shift(0) {
  uint32_t log = 0;
  while (log < 31 && (uint32_t{1} << log) < divisor) {
    ++log;
  }
  if (log > 0) {
    multiplier = static_cast<uint32_t>(((uint64_t{1} << (31 + log)) + divisor - 1) / divisor);
    shift = log - 1;
  }
}

int32_t PositionsPerStep(const RingConv& conv, int num_multiprocessors) {
  switch (conv.kernel) {
    case RingKernel::kTensorCore:
      return WantsLarge(conv, num_multiprocessors) ? kLarge.m : kSmall.m;
    case RingKernel::kVector:
      return kMaxVectorPositions;
    case RingKernel::kDepthwise:
    case RingKernel::kDirect:
      return 1;
  }
  return 1;
}

cudaError_t LaunchRingConv(const RingConv& conv, int num_multiprocessors, int32_t begin, int32_t end,
                           const uint8_t* limbs, const int8_t* weights, uint8_t* words, cudaStream_t stream) {
  switch (conv.kernel) {
    case RingKernel::kTensorCore:
      return LaunchTensorCore(conv, num_multiprocessors, begin, end, limbs, weights, words, stream);
    case RingKernel::kVector:
      if (end - begin == 1) {
        return LaunchVector<1>(conv, begin, limbs, weights, words, stream);
      }
      return end - begin == 2 ? LaunchVector<2>(conv, begin, limbs, weights, words, stream)
                              : LaunchVector<kMaxVectorPositions>(conv, begin, limbs, weights, words, stream);
    case RingKernel::kDepthwise:
    case RingKernel::kDirect:
      return LaunchDirect(conv, begin, end, limbs, weights, words, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace shoji::accelerator
