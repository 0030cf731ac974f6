// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/pooling.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/kernels/geometry.h"
#include "lib/kernels/reference/pooling.h"
#include "tests/unit/lib/kernels/onednn_harness.h"

namespace shoji::kernels {
namespace {

struct PoolCase {
  std::string name;
  int64_t channels = 1;
  Extents input = {9, 11};
  Window window;
  Rounding rounding = Rounding::kFloor;
};

PoolGeometry GeometryOf(const PoolCase& c, PoolKind kind) {
  Extents output = {};
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t slack = c.input[axis] + c.window.pads[axis] + c.window.pads[axis + 2] - c.window.Span(axis);
    const int64_t up = c.rounding == Rounding::kCeil ? c.window.strides[axis] - 1 : 0;
    output[axis] = (slack + up) / c.window.strides[axis] + 1;
  }
  const auto geometry = MakePoolGeometry(kind, Shape({1, c.channels, c.input[0], c.input[1]}),
                                         Shape({1, c.channels, output[0], output[1]}), c.window, c.rounding);
  EXPECT_TRUE(geometry.ok()) << geometry.status();
  return *geometry;
}

// Cell by cell: -1 not counted, 0 counted as padding, 1 in the input.
Values PoolByDefinition(const PoolGeometry& g, const Values& x) {
  Values y;
  for (int64_t i = 0; i < g.channels * g.output[0] * g.output[1]; ++i) {
    const int64_t c = i / (g.output[0] * g.output[1]);
    double sum = 0;
    float max = std::numeric_limits<float>::lowest();
    int64_t counted = 0;
    for (int64_t k = 0; k < g.window.kernel[0] * g.window.kernel[1]; ++k) {
      const int64_t h = i / g.output[1] % g.output[0] * g.window.strides[0] - g.window.pads[0] +
                        k / g.window.kernel[1] * g.window.dilations[0];
      const int64_t w =
          i % g.output[1] * g.window.strides[1] - g.window.pads[1] + k % g.window.kernel[1] * g.window.dilations[1];
      if (h >= 0 && w >= 0 && h < g.input[0] && w < g.input[1]) {
        const float cell = x[static_cast<size_t>((c * g.input[0] + h) * g.input[1] + w)];
        sum += cell;
        max = std::max(max, cell);
        ++counted;
      } else if (g.kind == PoolKind::kAverageOfPadded && h < g.input[0] + g.window.pads[2] &&
                 w < g.input[1] + g.window.pads[3]) {
        ++counted;
      }
    }
    const double average = counted == 0 ? 0 : sum / static_cast<double>(counted);
    y.push_back(g.kind == PoolKind::kMax ? max : static_cast<float>(average));
  }
  return y;
}

class PoolingTest : public testing::TestWithParam<PoolCase> {};

TEST_P(PoolingTest, ReferenceAgreesWithTheDefinitionAndOneDnnWithTheReference) {
  const OneDnnHarness dnn;
  for (const PoolKind kind : {PoolKind::kMax, PoolKind::kAverageOfInput, PoolKind::kAverageOfPadded}) {
    const PoolGeometry g = GeometryOf(GetParam(), kind);
    const std::vector<int64_t> dims = {1, g.channels, g.input[0], g.input[1]};
    const Values x = RandomValues(static_cast<size_t>(g.channels * g.input[0] * g.input[1]), 1);
    Values y(static_cast<size_t>(g.channels * g.output[0] * g.output[1]));
    reference::Pool(g, x, y);
    ExpectClose(y, PoolByDefinition(g, x), "reference, kind " + std::to_string(static_cast<int>(kind)));
    for (const dnnl_format_tag_t tag : {dnnl_nchw, dnnl_nhwc, dnnl_nChw16c, dnnl_nChw8c}) {
      const auto primitive = onednn::MakePooling(dnn.engine(), g, OneDnnHarness::Blocked(dims, tag));
      if (absl::IsUnimplemented(primitive.status())) {
        continue;
      }
      ASSERT_TRUE(primitive.ok()) << primitive.status();
      ExpectClose(dnn.Run(*primitive, {x}), y, primitive->implementation());
    }
  }
}

Window Of(Extents kernel, Extents strides, std::array<int64_t, 4> pads, Extents dilations = {1, 1}) {
  return {kernel, strides, dilations, pads};
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, PoolingTest,
    testing::Values(PoolCase{"c1_2x2", 1, {8, 8}, Of({2, 2}, {2, 2}, {0, 0, 0, 0})},
                    PoolCase{"c17_3x3_padded", 17, {9, 11}, Of({3, 3}, {2, 2}, {1, 1, 1, 1})},
                    PoolCase{"c16_ceil", 16, {8, 8}, Of({3, 3}, {2, 2}, {0, 0, 0, 0}), Rounding::kCeil},
                    PoolCase{"c17_ceil_padded", 17, {8, 11}, Of({3, 3}, {2, 2}, {1, 1, 1, 1}), Rounding::kCeil},
                    PoolCase{"ceil_beyond_everything", 3, {4, 4}, Of({1, 1}, {3, 3}, {0, 0, 1, 1}), Rounding::kCeil},
                    PoolCase{"asymmetric_pads", 16, {9, 9}, Of({3, 3}, {2, 3}, {0, 1, 2, 0})},
                    PoolCase{"stride_over_kernel", 16, {14, 14}, Of({2, 2}, {3, 3}, {0, 0, 0, 0})},
                    PoolCase{"dilated", 5, {12, 12}, Of({3, 3}, {1, 1}, {2, 2, 2, 2}, {2, 2})},
                    PoolCase{"dilated_over_the_end", 5, {6, 6}, Of({2, 2}, {1, 1}, {0, 0, 4, 4}, {5, 5})},
                    PoolCase{"pads_over_kernel", 2, {4, 4}, Of({2, 2}, {1, 1}, {5, 5, 5, 5})},
                    PoolCase{"global_7x7", 17, {7, 7}, Of({7, 7}, {1, 1}, {0, 0, 0, 0})},
                    PoolCase{"global_large", 16, {56, 61}, Of({56, 61}, {1, 1}, {0, 0, 0, 0})}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace shoji::kernels
