// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The ring element of a value is sum(limb_l * 2^8l), so W * u = sum((W * limb_l) * 2^8l), and with Horner's rule
//
//   acc = 0;  for l = num_limbs - 1 .. 0:  acc = acc * 2^8 + W * limb_l     (all mod 2^32)
//
// Each limb is a layer of unsigned bytes times signed bytes, which int8 tensor cores add up in 32 bits that wrap around
// where they overflow; that is exact mod 2^32, and mod 2^24 its low bits. So one accumulator serves all limbs.
#include "gpu_worker/cuda/ring_kernels.h"

#include "gpu_worker/cuda/ring_device.cuh"
#include "gpu_worker/cuda/ring_tensor_core.h"

namespace shoji::accelerator {
namespace {

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

// acc + sum of four unsigned bytes of `a` times signed bytes of `b`.
__device__ __forceinline__ int32_t DotBytes(uint32_t a, int32_t b, int32_t acc) {
  int32_t out;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(acc));
  return out;
}

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

// ---- launches -----------------------------------------------------------------------------------------------------

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
      return TensorCoreStep(conv, num_multiprocessors);
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
