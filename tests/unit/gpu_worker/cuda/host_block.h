// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Enough of CUDA C++ to compile a kernel for this host and run its blocks, one after the other, each thread of a block
// as a thread here. Include before the kernel's header. For tests only.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstdint>
#include <thread>
#include <vector>

// NOLINTBEGIN(readability-identifier-naming, bugprone-reserved-identifier): the names are CUDA's
#define __device__
#define __global__
#define __noinline__
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static

struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
struct HostIndex {
  uint32_t x = 0, y = 0, z = 0;
};
inline thread_local HostIndex threadIdx;
inline HostIndex blockIdx;
inline std::barrier<>* host_barrier = nullptr;
inline void __syncthreads() { host_barrier->arrive_and_wait(); }
using std::min;  // NOLINT(google-global-names-in-headers): likewise
// NOLINTEND(readability-identifier-naming, bugprone-reserved-identifier)

namespace shoji::accelerator::open_segment {

// Runs kernel() on `num_threads` threads for every block of `grid`.
template <typename Kernel>
void RunBlocks(const HostIndex& grid, uint32_t num_threads, const Kernel& kernel) {
  std::barrier<> barrier(num_threads);
  host_barrier = &barrier;
  const auto run = [&](uint32_t thread) {
    threadIdx = {thread, 0, 0};
    for (uint32_t block = 0; block < grid.x * grid.y * grid.z; ++block) {
      if (thread == 0) {
        blockIdx = {block % grid.x, block / grid.x % grid.y, block / grid.x / grid.y};
      }
      barrier.arrive_and_wait();
      kernel();
      barrier.arrive_and_wait();
    }
  };
  {
    std::vector<std::jthread> threads;
    threads.reserve(num_threads);
    for (uint32_t thread = 0; thread < num_threads; ++thread) {
      threads.emplace_back(run, thread);
    }
  }
  host_barrier = nullptr;
}

}  // namespace shoji::accelerator::open_segment
