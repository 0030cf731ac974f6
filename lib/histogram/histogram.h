// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A recorder of times in the manner of HdrHistogram (Tene, hdrhistogram.org): buckets whose width is a fixed part of
// what they hold, so that memory does not grow with what is recorded and the error of every quantile is known.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace shoji {

// Values from 0 to kMax, in nanoseconds; larger ones count as kMax. A quantile is at most kError of itself above what
// it would be of the sorted values (and never above the largest), which is three significant decimal digits. 256 KiB.
// Copyable; thread-compatible.
class Histogram {
 public:
  static constexpr std::chrono::nanoseconds kMax = std::chrono::hours(1);
  // Each power of two is cut into this many buckets.
  static constexpr int kSubBits = 10;
  static constexpr double kError = 1.0 / (1 << kSubBits);

  Histogram();

  // Negative values count as 0.
  void Record(std::chrono::nanoseconds value, uint64_t times = 1);
  void Merge(const Histogram& other);
  void Clear();

  uint64_t count() const { return count_; }
  std::chrono::nanoseconds min() const { return count_ == 0 ? std::chrono::nanoseconds(0) : min_; }
  std::chrono::nanoseconds max() const { return max_; }
  std::chrono::nanoseconds Mean() const;
  std::chrono::nanoseconds StandardDeviation() const;
  // The smallest value that at least `q` of all are not above; 0 <= q <= 1. 0 when nothing was recorded.
  std::chrono::nanoseconds Quantile(double q) const;

  // Buckets that are not empty, from the smallest.
  struct Bucket {
    std::chrono::nanoseconds upper = {};  // the largest value that falls into it
    uint64_t count = 0;
  };
  std::vector<Bucket> Buckets() const;

  // The percentile distribution as HdrHistogram's outputPercentileDistribution writes it (`.hgrm`), in milliseconds;
  // its plotting tools read it. `ticks`: lines each time the distance to 100 % halves.
  std::string PercentileDistribution(int ticks = 5) const;

 private:
  static size_t IndexOf(uint64_t value);
  static uint64_t UpperOf(size_t index);

  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  std::chrono::nanoseconds min_ = kMax;
  std::chrono::nanoseconds max_ = std::chrono::nanoseconds(0);
};

}  // namespace shoji
