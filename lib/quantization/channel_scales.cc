// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/channel_scales.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace shoji::quantization {
namespace {

// scale = (channel's span / widest span) ^ exponent
constexpr double kExponents[] = {0.25, 0.5, 0.75, 1};
constexpr double kLeastScale = 1.0 / 1024;
// How finely the ends of a range are tried.
constexpr int kCandidates = 32;
constexpr double kMaxByte = 255;
constexpr double kMaxWeight = 127;

// What a reader is to the value: sums over its weights.
struct Influence {
  size_t first = 0;             // channel of the value
  size_t group_size = 0;        // input channels of an output channel
  std::vector<double> squares;  // of the weights of an input channel
  std::vector<double> largest;  // [output channel][input channel of its group], magnitudes over the window
  size_t taps = 0;
  size_t out_per_group = 0;
  double output_power = 0;  // mean square of what it gives, if channels were independent
};

Influence InfluenceOf(const ChannelReader& reader, const ChannelHistograms& histograms) {
  const LinearNode& node = reader.layer;
  Influence out;
  out.first = reader.channel;
  out.group_size = static_cast<size_t>(node.geometry.in_channels / node.geometry.group);
  out.out_per_group = static_cast<size_t>(node.geometry.out_channels / node.geometry.group);
  out.taps = node.per_channel / out.group_size;
  out.squares.resize(static_cast<size_t>(node.geometry.in_channels));
  out.largest.resize(node.factor.size() * out.group_size);
  for (size_t o = 0; o < node.factor.size(); ++o) {
    const size_t group = o / out.out_per_group * out.group_size;
    for (size_t i = 0; i < node.per_channel; ++i) {
      const double w =
          static_cast<double>(node.weights[o * node.channel_stride + i * node.element_stride]) * node.factor[o];
      out.squares[group + i / out.taps] += w * w;
      double& largest = out.largest[o * out.group_size + i / out.taps];
      largest = std::max(largest, std::abs(w));
    }
  }
  for (size_t c = 0; c < out.squares.size(); ++c) {
    out.output_power += out.squares[c] * histograms.mean_square(out.first + c);
  }
  return out;
}

// Mean square error of what the reader gives, from rounding its weights under `scales`.
double WeightError(const Influence& reader, const ChannelHistograms& histograms, const std::vector<double>& scales) {
  double error = 0;
  for (size_t o = 0; o * reader.group_size < reader.largest.size(); ++o) {
    const size_t first = reader.first + o / reader.out_per_group * reader.group_size;
    double largest = 0;
    double power = 0;  // of the bytes
    for (size_t i = 0; i < reader.group_size; ++i) {
      const double scale = scales[first + i];
      largest = std::max(largest, reader.largest[o * reader.group_size + i] * scale);
      power += histograms.mean_square(first + i) / (scale * scale);
    }
    const double step = largest / kMaxWeight;
    error += step * step / 12 * power * static_cast<double>(reader.taps);
  }
  return error;
}

class Search {
 public:
  Search(const ChannelHistograms& histograms, const std::vector<ChannelReader>& readers, size_t num_others)
      : histograms_(histograms) {
    double power = 0;
    for (size_t c = 0; c < histograms.size(); ++c) {
      power += histograms.mean_square(c);
    }
    weight_.resize(histograms.size(), power > 0 ? static_cast<double>(num_others) / power : 0);
    for (const ChannelReader& reader : readers) {
      Influence influence = InfluenceOf(reader, histograms);
      if (influence.output_power <= 0) {
        continue;
      }
      for (size_t c = 0; c < influence.squares.size(); ++c) {
        weight_[influence.first + c] += influence.squares[c] / influence.output_power;
      }
      readers_.push_back(std::move(influence));
    }
  }

  // Relative to what the readers give.
  double Error(const Range& range, const std::vector<double>& scales) const {
    double error = RoundingError(range, scales);
    for (const Influence& reader : readers_) {
      error += WeightError(reader, histograms_, scales) / reader.output_power;
    }
    return error;
  }

  // The best range under these scales, each channel's being within its span.
  Range BestRange(const std::vector<double>& scales, const std::vector<double>& spans) const {
    Range whole;
    for (size_t c = 0; c < scales.size(); ++c) {
      const double low = std::max(static_cast<double>(histograms_.min(c)), -spans[c]);
      const double high = std::min(static_cast<double>(histograms_.max(c)), spans[c]);
      whole.min = std::min(whole.min, static_cast<float>(low / scales[c]));
      whole.max = std::max(whole.max, static_cast<float>(high / scales[c]));
    }
    Range best = whole;
    double least = RoundingError(best, scales);
    for (float Range::*end : {&Range::max, &Range::min}) {
      for (int i = 1; i < kCandidates; ++i) {
        Range candidate = best;
        candidate.*end = whole.*end * static_cast<float>(i) / kCandidates;
        if (const double error = RoundingError(candidate, scales); error < least) {
          least = error;
          best = candidate;
        }
      }
    }
    return best;
  }

 private:
  double RoundingError(const Range& range, const std::vector<double>& scales) const {
    const QuantizationParameters parameters = ParametersOf(range);
    const auto step = static_cast<double>(parameters.scale);
    const double low = -step * parameters.zero_point;
    const double high = step * (kMaxByte - parameters.zero_point);
    double error = 0;
    for (size_t c = 0; c < scales.size(); ++c) {
      if (weight_[c] > 0) {
        error += weight_[c] * histograms_.SquaredError(c, step * scales[c], low * scales[c], high * scales[c]);
      }
    }
    return error;
  }

  const ChannelHistograms& histograms_;
  std::vector<Influence> readers_;
  std::vector<double> weight_;  // of a channel's error
};

// The magnitude up to which a channel alone would be rounded, and beyond which clipped.
double SpanOf(const ChannelHistograms& histograms, size_t c) {
  const auto min = static_cast<double>(histograms.min(c));
  const auto max = static_cast<double>(histograms.max(c));
  const double whole = std::max(std::abs(min), std::abs(max));
  double best = whole;
  double least = std::numeric_limits<double>::infinity();
  for (int i = kCandidates; i > 0; --i) {
    const double span = whole * i / kCandidates;
    const double low = std::max(std::min(min, 0.0), -span);
    const double high = std::min(std::max(max, 0.0), span);
    if (const double error = histograms.SquaredError(c, (high - low) / kMaxByte, low, high); error < least) {
      least = error;
      best = span;
    }
  }
  return best;
}

}  // namespace

Range WithScales(const Range& plain, const ChannelHistograms& histograms, const std::vector<ChannelReader>& readers,
                 size_t num_others) {
  std::vector<double> spans;
  double widest = 0;
  for (size_t c = 0; c < histograms.size(); ++c) {
    spans.push_back(SpanOf(histograms, c));
    widest = std::max(widest, spans.back());
  }
  const Search search(histograms, readers, num_others);
  Range best = plain;
  double least = search.Error(plain, std::vector<double>(spans.size(), 1));
  for (const double exponent : kExponents) {
    // As a file holds them.
    std::vector<double> scales;
    for (const double span : spans) {
      const double scale = widest > 0 ? std::pow(span / widest, exponent) : 1;
      scales.push_back(static_cast<double>(static_cast<float>(std::max(scale, kLeastScale))));
    }
    Range range = search.BestRange(scales, spans);
    if (const double error = search.Error(range, scales); error < least) {
      least = error;
      range.scales.assign(scales.begin(), scales.end());
      best = std::move(range);
    }
  }
  return best;
}

}  // namespace shoji::quantization
