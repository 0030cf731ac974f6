// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/histogram/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>

namespace shoji {
namespace {

constexpr uint64_t kMaxValue = static_cast<uint64_t>(Histogram::kMax.count());
constexpr uint64_t kSubBuckets = uint64_t{1} << Histogram::kSubBits;

double Millis(double nanos) { return nanos / 1e6; }

}  // namespace

// Below kSubBuckets each value has a bucket of its own. From there on the highest kSubBits + 1 bits choose one.
size_t Histogram::IndexOf(uint64_t value) {
  if (value < kSubBuckets) {
    return static_cast<size_t>(value);
  }
  const int shift = static_cast<int>(std::bit_width(value)) - 1 - kSubBits;
  return static_cast<size_t>((static_cast<uint64_t>(shift) << kSubBits) + (value >> shift));
}

uint64_t Histogram::UpperOf(size_t index) {
  if (index < 2 * kSubBuckets) {
    return index;
  }
  const uint64_t shift = (index >> kSubBits) - 1;
  const uint64_t top = (index & (kSubBuckets - 1)) + kSubBuckets;
  return ((top + 1) << shift) - 1;
}

Histogram::Histogram() : counts_(IndexOf(kMaxValue) + 1) {}

void Histogram::Record(std::chrono::nanoseconds value, uint64_t times) {
  if (times == 0) {
    return;
  }
  const std::chrono::nanoseconds bounded = std::clamp(value, std::chrono::nanoseconds(0), kMax);
  counts_[IndexOf(static_cast<uint64_t>(bounded.count()))] += times;
  count_ += times;
  min_ = std::min(min_, bounded);
  max_ = std::max(max_, bounded);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < counts_.size(); ++i) {
    counts_[i] += other.counts_[i];
  }
  count_ += other.count_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

void Histogram::Clear() { *this = Histogram(); }

std::chrono::nanoseconds Histogram::Mean() const {
  double sum = 0;
  for (const Bucket& bucket : Buckets()) {
    sum += static_cast<double>(bucket.upper.count()) * static_cast<double>(bucket.count);
  }
  return std::chrono::nanoseconds(count_ == 0 ? 0 : static_cast<int64_t>(sum / static_cast<double>(count_)));
}

std::chrono::nanoseconds Histogram::StandardDeviation() const {
  const auto mean = static_cast<double>(Mean().count());
  double sum = 0;
  for (const Bucket& bucket : Buckets()) {
    const double off = static_cast<double>(bucket.upper.count()) - mean;
    sum += off * off * static_cast<double>(bucket.count);
  }
  const double variance = count_ == 0 ? 0 : sum / static_cast<double>(count_);
  return std::chrono::nanoseconds(static_cast<int64_t>(std::sqrt(variance)));
}

std::chrono::nanoseconds Histogram::Quantile(double q) const {
  if (count_ == 0) {
    return std::chrono::nanoseconds(0);
  }
  // Less a little, so that 0.999 of 1,000 is 999 in spite of rounding.
  const double wanted = std::clamp(q, 0.0, 1.0) * static_cast<double>(count_);
  const auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(wanted - 1e-9 * wanted)));
  uint64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= rank) {
      const std::chrono::nanoseconds upper(static_cast<int64_t>(UpperOf(i)));
      return std::clamp(upper, min_, max_);
    }
  }
  return max_;
}

std::vector<Histogram::Bucket> Histogram::Buckets() const {
  std::vector<Bucket> out;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] != 0) {
      out.push_back({std::chrono::nanoseconds(static_cast<int64_t>(UpperOf(i))), counts_[i]});
    }
  }
  return out;
}

std::string Histogram::PercentileDistribution(int ticks) const {
  constexpr double kFinest = 1e-9;
  constexpr size_t kLineSize = 160;
  char line[kLineSize];
  std::string out = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n";
  const auto add = [&](double q) {
    const std::chrono::nanoseconds value = Quantile(q);
    uint64_t below = 0;
    for (const Bucket& bucket : Buckets()) {
      if (std::min(bucket.upper, max_) > value) {
        break;
      }
      below += bucket.count;
    }
    const double millis = Millis(static_cast<double>(value.count()));
    if (q < 1) {
      std::snprintf(line, kLineSize, "%12.3f %2.12f %10llu %14.2f\n", millis, q, static_cast<unsigned long long>(below),
                    1 / (1 - q));
    } else {
      std::snprintf(line, kLineSize, "%12.3f %2.12f %10llu\n", millis, q, static_cast<unsigned long long>(below));
    }
    out += line;
  };
  // The distance to 100 % halves in `ticks` steps, until fewer than one value is left beyond.
  double left = 1;
  while (left > kFinest && left * static_cast<double>(std::max<uint64_t>(count_, 1)) >= 1) {
    for (int tick = 0; tick < ticks; ++tick) {
      add(1 - left + left / 2 * tick / ticks);
    }
    left /= 2;
  }
  add(1);
  std::snprintf(line, kLineSize, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
                Millis(static_cast<double>(Mean().count())), Millis(static_cast<double>(StandardDeviation().count())));
  out += line;
  std::snprintf(line, kLineSize, "#[Max     = %12.3f, Total count    = %12llu]\n",
                Millis(static_cast<double>(max_.count())), static_cast<unsigned long long>(count_));
  out += line;
  std::snprintf(line, kLineSize, "#[Buckets = %12d, SubBuckets     = %12llu]\n", static_cast<int>(std::bit_width(kMaxValue)) - kSubBits,
                static_cast<unsigned long long>(kSubBuckets));
  out += line;
  return out;
}

}  // namespace shoji
