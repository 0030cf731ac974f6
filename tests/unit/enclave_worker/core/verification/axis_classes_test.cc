// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/verification/axis_classes.h"

#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "tests/unit/enclave_worker/core/verification/random_layer.h"

namespace shoji::enclave {
namespace {

// {input, kernel, output} that a convolution reads, from the output's side.
std::set<std::tuple<int64_t, int64_t, int64_t>> Reads(const kernels::ConvGeometry& g, size_t axis) {
  std::set<std::tuple<int64_t, int64_t, int64_t>> out;
  for (int64_t o = 0; o < g.output[axis]; ++o) {
    for (int64_t k = 0; k < g.window.kernel[axis]; ++k) {
      const int64_t i = o * g.window.strides[axis] - g.window.pads[axis] + k * g.window.dilations[axis];
      if (i >= 0 && i < g.input[axis]) {
        out.insert({i, k, o});
      }
    }
  }
  return out;
}

TEST(AxisClassesTest, TapsAndExponentsAreExactlyWhatTheOutputReads) {
  Random random(1);
  for (int n = 0; n < 2000; ++n) {
    const quantization::LinearLayer layer = MakeRandomLayer(random);
    for (const size_t axis : {size_t{0}, size_t{1}}) {
      const AxisClasses classes = ClassifyAxis(layer.geometry, axis);
      std::set<std::tuple<int64_t, int64_t, int64_t>> found;
      for (int64_t i = 0; i < layer.geometry.input[axis]; ++i) {
        for (const Tap& tap : classes.taps[classes.class_of[static_cast<size_t>(i)]]) {
          found.insert({i, tap.kernel, i / layer.geometry.window.strides[axis] + tap.exponent});
        }
      }
      ASSERT_EQ(found, Reads(layer.geometry, axis)) << Describe(layer);
    }
  }
}

TEST(AxisClassesTest, RunsHoldEveryPositionThatIsReadOnce) {
  Random random(2);
  for (int n = 0; n < 2000; ++n) {
    const quantization::LinearLayer layer = MakeRandomLayer(random);
    const AxisClasses classes = ClassifyAxis(layer.geometry, 1);
    std::multiset<std::pair<int64_t, uint32_t>> in_runs;
    for (const ClassRun& run : classes.runs) {
      for (int64_t i = 0; i < run.count; ++i) {
        in_runs.insert({run.first + i * run.step, run.class_index});
      }
    }
    std::multiset<std::pair<int64_t, uint32_t>> expected;
    for (size_t i = 0; i < classes.class_of.size(); ++i) {
      if (!classes.taps[classes.class_of[i]].empty()) {
        expected.insert({static_cast<int64_t>(i), classes.class_of[i]});
      }
    }
    ASSERT_EQ(in_runs, expected) << Describe(layer);
  }
}

TEST(AxisClassesTest, APaddedThreeByThreeLayerHasThreeClasses) {
  Random random(3);
  kernels::ConvGeometry g{.in_channels = 4, .out_channels = 4, .input = {14, 14}, .output = {}, .window = {}};
  g.window = {.kernel = {3, 3}, .pads = {1, 1, 1, 1}};
  const AxisClasses classes = ClassifyAxis(MakeLayer(random, g, 0).geometry, 1);
  EXPECT_EQ(classes.taps.size(), 3U);
  ASSERT_EQ(classes.runs.size(), 3U);
  EXPECT_EQ(classes.runs[1].first, 1);
  EXPECT_EQ(classes.runs[1].count, 12);
}

}  // namespace
}  // namespace shoji::enclave
