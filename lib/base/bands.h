// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace shoji {

// Calls work(band, begin, end) for `num_bands` consecutive bands of [0, count), each on a thread of its own (the first
// on the caller's), and returns when all are done.
template <typename Work>
void ForEachBand(int64_t count, size_t num_bands, const Work& work) {
  const auto begin_of = [&](size_t band) {
    return count * static_cast<int64_t>(band) / static_cast<int64_t>(num_bands);
  };
  std::vector<std::jthread> threads;
  threads.reserve(num_bands);
  for (size_t band = 1; band < num_bands; ++band) {
    try {
      threads.emplace_back([&, band] { work(band, begin_of(band), begin_of(band + 1)); });
    } catch (const std::system_error&) {  // no more threads to be had
      work(band, begin_of(band), begin_of(band + 1));
    }
  }
  work(size_t{0}, int64_t{0}, begin_of(1));
}

// Bands worth their threads: each of at least `least` values, where one of the `count` items has `values_per_item`.
inline size_t NumBands(int64_t count, size_t values_per_item, int num_threads, size_t least) {
  const size_t values = static_cast<size_t>(count) * values_per_item;
  const size_t wanted = std::min<size_t>(static_cast<size_t>(std::max(num_threads, 1)), 1 + values / least);
  return std::max<size_t>(1, std::min<size_t>(wanted, static_cast<size_t>(count)));
}

}  // namespace shoji
