// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/histogram.h"

#include <algorithm>
#include <cmath>

namespace shoji::quantization {
namespace {

// How finely LeastSquares tries the ends of a range, and how often it goes over both.
constexpr int kCandidates = 128;
constexpr int kRounds = 3;

}  // namespace

bool Histogram::Extend(std::span<const float> values) {
  bool finite = true;
  for (const float value : values) {
    finite = finite && std::isfinite(value);
    if (is_empty_) {
      extremes_ = {value, value};
      is_empty_ = false;
    }
    extremes_.min = std::min(extremes_.min, value);
    extremes_.max = std::max(extremes_.max, value);
  }
  return finite;
}

double Histogram::BinWidth() const {
  return (static_cast<double>(extremes_.max) - static_cast<double>(extremes_.min)) / static_cast<double>(kNumBins);
}

double Histogram::CentreOf(size_t bin) const {
  return static_cast<double>(extremes_.min) + (static_cast<double>(bin) + 0.5) * BinWidth();
}

void Histogram::Count(std::span<const float> values) {
  bins_.resize(kNumBins);
  const double width = BinWidth();
  const double per_unit = width > 0 ? 1 / width : 0;
  for (const float value : values) {
    if (value == 0) {
      ++num_zeros_;
      continue;
    }
    const double at = (static_cast<double>(value) - static_cast<double>(extremes_.min)) * per_unit;
    const double bin = std::min(std::max(at, 0.0), static_cast<double>(kNumBins - 1));
    ++bins_[static_cast<size_t>(bin)];
  }
  num_counted_ += values.size();
}

Range Histogram::Percentile(double share) const {
  const double allowed = share / 2 * static_cast<double>(num_counted_);
  // Zeros are in every range, so they count as inside on either side.
  size_t first = 0;
  for (double below = 0; first + 1 < bins_.size() && below + static_cast<double>(bins_[first]) <= allowed; ++first) {
    below += static_cast<double>(bins_[first]);
  }
  size_t last = bins_.size();
  for (double above = 0; last > first + 1 && above + static_cast<double>(bins_[last - 1]) <= allowed; --last) {
    above += static_cast<double>(bins_[last - 1]);
  }
  const double width = BinWidth();
  Range range;
  range.min = static_cast<float>(static_cast<double>(extremes_.min) + static_cast<double>(first) * width);
  range.max = static_cast<float>(static_cast<double>(extremes_.min) + static_cast<double>(last) * width);
  return {std::max(range.min, extremes_.min), std::min(range.max, extremes_.max)};
}

double Histogram::SquaredError(const Range& range) const {
  const QuantizationParameters parameters = ParametersOf(range);
  const auto scale = static_cast<double>(parameters.scale);
  const double low = scale * (0 - int{parameters.zero_point});
  const double high = scale * (255 - int{parameters.zero_point});
  const double rounding = scale * scale / 12;
  double error = 0;
  for (size_t bin = 0; bin < bins_.size(); ++bin) {
    if (bins_[bin] == 0) {
      continue;
    }
    const double x = CentreOf(bin);
    const double beyond = x < low ? low - x : x > high ? x - high : 0;
    error += static_cast<double>(bins_[bin]) * (beyond > 0 ? beyond * beyond : rounding);
  }
  return error;
}

Range Histogram::LeastSquares() const {
  Range best = extremes_;
  double least = SquaredError(best);
  for (int round = 0; round < kRounds; ++round) {
    for (float Range::*end : {&Range::max, &Range::min}) {
      const float whole = extremes_.*end;
      for (int i = 1; i <= kCandidates; ++i) {
        Range candidate = best;
        candidate.*end = whole * static_cast<float>(i) / kCandidates;
        if (candidate.min > candidate.max) {
          continue;
        }
        if (const double error = SquaredError(candidate); error < least) {
          least = error;
          best = candidate;
        }
      }
    }
  }
  return best;
}

}  // namespace shoji::quantization
