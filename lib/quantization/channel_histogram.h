// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What each channel of an image takes over many examples. Private to this folder and its tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/quantization/activation_ranges.h"

namespace shoji::quantization {

// The extremes of each channel in a first pass, and how often it falls where between them in a second. Values come as
// planes, [channels][pixels]. Copyable; thread-compatible.
class ChannelHistograms {
 public:
  static constexpr size_t kNumBins = 128;

  explicit ChannelHistograms(size_t channels) : channels_(channels) {}

  size_t size() const { return channels_.size(); }
  // First pass.
  void Extend(std::span<const float> planes);
  // Second pass: the values of the first once more.
  void Count(std::span<const float> planes);

  float min(size_t channel) const { return channels_[channel].min; }
  float max(size_t channel) const { return channels_[channel].max; }
  double mean_square(size_t channel) const;
  // What rounding to multiples of `step` and clipping to [low, high] makes the mean square error; low <= 0 <= high.
  double SquaredError(size_t channel, double step, double low, double high) const;

 private:
  struct Channel {
    bool is_empty = true;
    float min = 0;
    float max = 0;
    double square_sum = 0;
    uint64_t num_counted = 0;
    uint64_t num_zeros = 0;  // exact in any range; not in the bins
    std::vector<uint32_t> bins;
  };

  std::vector<Channel> channels_;
};

}  // namespace shoji::quantization
