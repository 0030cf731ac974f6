// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/channel_histogram.h"

#include <algorithm>

namespace shoji::quantization {

void ChannelHistograms::Extend(std::span<const float> planes) {
  const size_t pixels = planes.size() / channels_.size();
  for (size_t c = 0; c < channels_.size(); ++c) {
    Channel& channel = channels_[c];
    const std::span<const float> plane = planes.subspan(c * pixels, pixels);
    if (channel.is_empty && !plane.empty()) {
      channel.min = channel.max = plane[0];
      channel.is_empty = false;
    }
    for (const float value : plane) {
      channel.min = std::min(channel.min, value);
      channel.max = std::max(channel.max, value);
    }
  }
}

void ChannelHistograms::Count(std::span<const float> planes) {
  const size_t pixels = planes.size() / channels_.size();
  for (size_t c = 0; c < channels_.size(); ++c) {
    Channel& channel = channels_[c];
    channel.bins.resize(kNumBins);
    const float width = channel.max - channel.min;
    const float per_unit = width > 0 ? static_cast<float>(kNumBins) / width : 0;
    for (const float value : planes.subspan(c * pixels, pixels)) {
      if (value == 0) {
        ++channel.num_zeros;
        continue;
      }
      const float bin = std::min(std::max((value - channel.min) * per_unit, 0.0F), static_cast<float>(kNumBins - 1));
      ++channel.bins[static_cast<size_t>(bin)];
      channel.square_sum += static_cast<double>(value) * static_cast<double>(value);
    }
    channel.num_counted += pixels;
  }
}

double ChannelHistograms::mean_square(size_t channel) const {
  const Channel& c = channels_[channel];
  return c.num_counted == 0 ? 0 : c.square_sum / static_cast<double>(c.num_counted);
}

double ChannelHistograms::SquaredError(size_t channel, double step, double low, double high) const {
  const Channel& c = channels_[channel];
  const double width = (static_cast<double>(c.max) - static_cast<double>(c.min)) / kNumBins;
  const double rounding = step * step / 12;
  double error = 0;
  for (size_t bin = 0; bin < c.bins.size(); ++bin) {
    if (c.bins[bin] == 0) {
      continue;
    }
    const double x = static_cast<double>(c.min) + (static_cast<double>(bin) + 0.5) * width;
    const double beyond = x < low ? low - x : x > high ? x - high : 0;
    error += static_cast<double>(c.bins[bin]) * (beyond > 0 ? beyond * beyond : rounding);
  }
  return c.num_counted == 0 ? 0 : error / static_cast<double>(c.num_counted);
}

}  // namespace shoji::quantization
