// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/histogram/histogram.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using ::testing::HasSubstr;

// Of sorted values: the smallest that at least q of all are not above.
nanoseconds Exact(const std::vector<nanoseconds>& sorted, double q) {
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(sorted.size()) * (1 - 1e-9)));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

TEST(HistogramTest, EmptyIsZeroEverywhere) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.Quantile(0.5), nanoseconds(0));
  EXPECT_EQ(histogram.min(), nanoseconds(0));
  EXPECT_EQ(histogram.max(), nanoseconds(0));
  EXPECT_EQ(histogram.Mean(), nanoseconds(0));
  EXPECT_TRUE(histogram.Buckets().empty());
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram histogram;
  for (int i = 0; i <= 1000; ++i) {
    histogram.Record(nanoseconds(i));
  }
  EXPECT_EQ(histogram.Quantile(0), nanoseconds(0));
  EXPECT_EQ(histogram.Quantile(0.5), nanoseconds(500));
  EXPECT_EQ(histogram.Quantile(1), nanoseconds(1000));
  EXPECT_EQ(histogram.Mean(), nanoseconds(500));
}

TEST(HistogramTest, QuantilesOfEveryDistributionAreWithinTheStatedErrorOfTheSortedValues) {
  std::mt19937_64 random(1);  // NOLINT(cert-msc51-cpp): repeatable
  const std::vector<std::function<double()>> distributions = {
      [&] { return std::uniform_real_distribution<double>(0, 1e9)(random); },
      [&] { return std::exponential_distribution<double>(1e-6)(random); },
      [&] { return std::lognormal_distribution<double>(14, 2)(random); },
      [&] { return random() % 100 == 0 ? 1e9 : 1e6; },
      [&] { return std::pow(10, std::uniform_real_distribution<double>(0, 12)(random)); },
  };
  for (const auto& draw : distributions) {
    for (const size_t count : {size_t{1}, size_t{7}, size_t{1000}, size_t{50'000}}) {
      Histogram histogram;
      std::vector<nanoseconds> values;
      for (size_t i = 0; i < count; ++i) {
        values.emplace_back(static_cast<int64_t>(draw()));
        histogram.Record(values.back());
      }
      std::sort(values.begin(), values.end());
      EXPECT_EQ(histogram.count(), count);
      EXPECT_EQ(histogram.min(), values.front());
      EXPECT_EQ(histogram.max(), values.back());
      for (const double q : {0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0}) {
        const auto exact = static_cast<double>(Exact(values, q).count());
        const auto got = static_cast<double>(histogram.Quantile(q).count());
        EXPECT_GE(got, exact) << q;
        EXPECT_LE(got, exact * (1 + Histogram::kError)) << q;
      }
    }
  }
}

TEST(HistogramTest, MergedIsAsIfAllHadBeenRecordedInOne) {
  std::mt19937_64 random(2);  // NOLINT(cert-msc51-cpp): repeatable
  Histogram all;
  std::vector<Histogram> parts(5);
  for (int i = 0; i < 10'000; ++i) {
    const nanoseconds value(static_cast<int64_t>(random() % 10'000'000'000));
    all.Record(value);
    parts[random() % parts.size()].Record(value);
  }
  Histogram merged;
  for (const Histogram& part : parts) {
    merged.Merge(part);
  }
  merged.Merge(Histogram());
  EXPECT_EQ(merged.count(), all.count());
  EXPECT_EQ(merged.min(), all.min());
  EXPECT_EQ(merged.max(), all.max());
  EXPECT_EQ(merged.PercentileDistribution(), all.PercentileDistribution());
}

TEST(HistogramTest, WhatIsOutOfRangeCountsAtItsEnds) {
  Histogram histogram;
  histogram.Record(nanoseconds(-5));
  histogram.Record(hours(30));
  histogram.Record(milliseconds(1), 0);
  EXPECT_EQ(histogram.count(), 2U);
  EXPECT_EQ(histogram.min(), nanoseconds(0));
  EXPECT_EQ(histogram.max(), Histogram::kMax);
  EXPECT_EQ(histogram.Quantile(1), Histogram::kMax);
}

TEST(HistogramTest, WritesWhatPlottingToolsRead) {
  Histogram histogram;
  for (int i = 1; i <= 1000; ++i) {
    histogram.Record(milliseconds(i));
  }
  const std::string text = histogram.PercentileDistribution();
  EXPECT_THAT(text, HasSubstr("       Value     Percentile TotalCount 1/(1-Percentile)\n"));
  EXPECT_THAT(text, HasSubstr(" 0.500000000000        500           2.00\n"));
  EXPECT_THAT(text, HasSubstr("    1000.000 1.000000000000       1000\n"));
  EXPECT_THAT(text, HasSubstr("Total count    =         1000]"));
}

TEST(HistogramTest, ClearForgetsAll) {
  Histogram histogram;
  histogram.Record(milliseconds(3));
  histogram.Clear();
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.max(), nanoseconds(0));
}

}  // namespace
}  // namespace shoji
