// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/linear.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/kernels/geometry.h"
#include "lib/kernels/reference/elementwise.h"
#include "lib/kernels/reference/linear.h"
#include "tests/unit/lib/kernels/onednn_harness.h"

namespace shoji::kernels {
namespace {

// A convolution written as its definition, cell by cell, for the reference kernel to agree with.
Values ConvolveByDefinition(const ConvGeometry& g, const Values& x, const Values& w, const Values& bias) {
  Values y;
  const int64_t in_group = g.in_channels / g.group;
  for (int64_t n = 0; n < g.batch; ++n) {
    for (int64_t o = 0; o < g.out_channels; ++o) {
      for (int64_t i = 0; i < g.output[0] * g.output[1]; ++i) {
        double sum = bias.empty() ? 0 : bias[static_cast<size_t>(o)];
        for (int64_t k = 0; k < in_group * g.window.kernel[0] * g.window.kernel[1]; ++k) {
          const int64_t kx = k % g.window.kernel[1];
          const int64_t ky = k / g.window.kernel[1] % g.window.kernel[0];
          const int64_t c = k / g.window.kernel[1] / g.window.kernel[0] + o / (g.out_channels / g.group) * in_group;
          const int64_t h = i / g.output[1] * g.window.strides[0] - g.window.pads[0] + ky * g.window.dilations[0];
          const int64_t v = i % g.output[1] * g.window.strides[1] - g.window.pads[1] + kx * g.window.dilations[1];
          if (h >= 0 && h < g.input[0] && v >= 0 && v < g.input[1]) {
            sum += static_cast<double>(
                       x[static_cast<size_t>(((n * g.in_channels + c) * g.input[0] + h) * g.input[1] + v)]) *
                   w[static_cast<size_t>(o * in_group * g.window.kernel[0] * g.window.kernel[1] + k)];
          }
        }
        y.push_back(static_cast<float>(sum));
      }
    }
  }
  return y;
}

struct ConvCase {
  std::string name;
  int64_t in = 1;
  int64_t out = 1;
  int64_t group = 1;
  Extents input = {9, 11};
  Window window;
};

ConvGeometry GeometryOf(const ConvCase& c) {
  Extents output = {};
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t padded = c.input[axis] + c.window.pads[axis] + c.window.pads[axis + 2];
    output[axis] = (padded - c.window.Span(axis)) / c.window.strides[axis] + 1;
  }
  const auto geometry = MakeConvGeometry(Shape({1, c.in, c.input[0], c.input[1]}),
                                         Shape({c.out, c.in / c.group, c.window.kernel[0], c.window.kernel[1]}),
                                         Shape({1, c.out, output[0], output[1]}), c.group, c.window);
  EXPECT_TRUE(geometry.ok()) << geometry.status();
  return *geometry;
}

class ConvolutionTest : public testing::TestWithParam<ConvCase> {
 protected:
  ConvolutionTest() : g_(GeometryOf(GetParam())) {
    x_ = RandomValues(static_cast<size_t>(g_.in_channels * g_.input[0] * g_.input[1]), 1);
    w_ = RandomValues(
        static_cast<size_t>(g_.out_channels * g_.in_channels / g_.group * g_.window.kernel[0] * g_.window.kernel[1]),
        2);
    bias_ = RandomValues(static_cast<size_t>(g_.out_channels), 3);
    y_.resize(static_cast<size_t>(g_.out_channels * g_.output[0] * g_.output[1]));
  }

  ConvGeometry g_;
  Values x_, w_, bias_, y_;
  OneDnnHarness dnn_;
};

TEST_P(ConvolutionTest, ReferenceAgreesWithTheDefinition) {
  reference::Convolve(g_, x_, w_, bias_, y_);
  ExpectClose(y_, ConvolveByDefinition(g_, x_, w_, bias_), "with bias");
  reference::Convolve(g_, x_, w_, {}, y_);
  ExpectClose(y_, ConvolveByDefinition(g_, x_, w_, {}), "without bias");
}

TEST_P(ConvolutionTest, OneDnnAgreesWithTheReference) {
  const auto primitive = onednn::MakeConvolution(dnn_.engine(), g_, onednn::Bias::kPresent, {});
  if (absl::IsUnimplemented(primitive.status())) {
    GTEST_SKIP() << "left to the reference kernel on this CPU";
  }
  ASSERT_TRUE(primitive.ok()) << primitive.status();
  RecordProperty("implementation", primitive->implementation());
  reference::Convolve(g_, x_, w_, bias_, y_);
  ExpectClose(dnn_.Run(*primitive, {x_, w_, bias_}), y_, primitive->implementation());
}

TEST_P(ConvolutionTest, BlockedLayoutsGiveTheSameAnswer) {
  const auto primitive =
      onednn::MakeConvolution(dnn_.engine(), g_, onednn::Bias::kPresent, {}, onednn::ConvLayout::kBlocked);
  if (absl::IsUnimplemented(primitive.status())) {
    GTEST_SKIP() << "not in blocks on this CPU";
  }
  ASSERT_TRUE(primitive.ok()) << primitive.status();
  if (g_.out_channels >= 8) {
    const onednn::Layout& y = primitive->output().layout;
    EXPECT_EQ(y, *onednn::Layout::Blocked(y.dims(), onednn::ChannelBlock()));
  }
  reference::Convolve(g_, x_, w_, bias_, y_);
  ExpectClose(dnn_.Run(*primitive, {x_, w_, bias_}), y_, primitive->implementation());
}

TEST_P(ConvolutionTest, OneDnnAddsTheResidualAndActivatesAfterwards) {
  onednn::PostOps post_ops;
  post_ops.residual = onednn::PostOps::Residual::kAddToOutput;
  post_ops.activations = {{Activation::Kind::kHardSigmoid, 0.3F, 0.4F}};
  const auto primitive = onednn::MakeConvolution(dnn_.engine(), g_, onednn::Bias::kAbsent, post_ops);
  if (absl::IsUnimplemented(primitive.status())) {
    GTEST_SKIP() << "left to the reference kernel on this CPU";
  }
  ASSERT_TRUE(primitive.ok()) << primitive.status();
  const Values residual = RandomValues(y_.size(), 4);
  reference::Convolve(g_, x_, w_, {}, y_);
  for (size_t i = 0; i < y_.size(); ++i) {
    y_[i] += residual[i];
  }
  reference::Activate(post_ops.activations[0], y_, y_);
  ExpectClose(dnn_.Run(*primitive, {x_, w_}, residual), y_, primitive->implementation());
}

Window Of(Extents kernel, Extents strides, std::array<int64_t, 4> pads, Extents dilations = {1, 1}) {
  return {kernel, strides, dilations, pads};
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, ConvolutionTest,
    testing::Values(ConvCase{"one_channel_1x1", 1, 1, 1, {1, 1}, Of({1, 1}, {1, 1}, {0, 0, 0, 0})},
                    ConvCase{"image_3_to_17", 3, 17, 1, {9, 11}, Of({3, 3}, {2, 2}, {1, 1, 1, 1})},
                    ConvCase{"c17_to_c1", 17, 1, 1, {9, 11}, Of({3, 3}, {1, 1}, {1, 1, 1, 1})},
                    ConvCase{"c16_to_c32_1x1", 16, 32, 1, {8, 8}, Of({1, 1}, {1, 1}, {0, 0, 0, 0})},
                    ConvCase{"c17_to_c33_1x1_stride2", 17, 33, 1, {7, 9}, Of({1, 1}, {2, 2}, {0, 0, 0, 0})},
                    ConvCase{"stride3_asymmetric_pads", 8, 24, 1, {13, 10}, Of({5, 3}, {3, 3}, {2, 0, 1, 2})},
                    ConvCase{"same_upper_pads", 16, 16, 1, {8, 8}, Of({3, 3}, {2, 2}, {0, 0, 1, 1})},
                    ConvCase{"uneven_strides", 16, 16, 1, {9, 11}, Of({3, 3}, {1, 2}, {1, 1, 1, 1})},
                    ConvCase{"dilated", 16, 16, 1, {12, 12}, Of({3, 3}, {1, 1}, {2, 2, 2, 2}, {2, 2})},
                    ConvCase{"dilated_uneven", 3, 5, 1, {12, 15}, Of({3, 2}, {2, 1}, {3, 1, 0, 2}, {3, 2})},
                    ConvCase{"depthwise_16", 16, 16, 16, {9, 9}, Of({3, 3}, {1, 1}, {1, 1, 1, 1})},
                    ConvCase{"depthwise_17_stride2", 17, 17, 17, {9, 9}, Of({3, 3}, {2, 2}, {0, 0, 1, 1})},
                    ConvCase{"depthwise_5x5", 40, 40, 40, {14, 14}, Of({5, 5}, {2, 2}, {2, 2, 2, 2})},
                    ConvCase{"depthwise_dilated", 32, 32, 32, {14, 14}, Of({3, 3}, {1, 1}, {2, 2, 2, 2}, {2, 2})},
                    ConvCase{"depthwise_multiplier_2", 6, 12, 6, {9, 9}, Of({3, 3}, {1, 1}, {1, 1, 1, 1})},
                    ConvCase{"groups_of_16", 32, 32, 2, {8, 8}, Of({3, 3}, {1, 1}, {1, 1, 1, 1})},
                    ConvCase{"groups_of_3", 9, 6, 3, {8, 8}, Of({3, 3}, {1, 1}, {1, 1, 1, 1})},
                    ConvCase{"kernel_covers_all", 16, 10, 1, {7, 7}, Of({7, 7}, {1, 1}, {0, 0, 0, 0})},
                    ConvCase{"even_kernel", 16, 16, 1, {9, 9}, Of({4, 4}, {2, 2}, {1, 1, 1, 1})},
                    ConvCase{"first_layer_7x7", 3, 64, 1, {32, 32}, Of({7, 7}, {2, 2}, {3, 3, 3, 3})},
                    ConvCase{"row_kernel", 8, 8, 1, {5, 20}, Of({1, 7}, {1, 1}, {0, 3, 0, 3})}),
    [](const auto& test) { return test.param.name; });

TEST(ReferenceConvolutionTest, TakesPadsLargerThanTheKernel) {
  const Window window = Of({3, 3}, {5, 7}, {9, 4, 8, 30});
  const ConvGeometry g = GeometryOf({"", 2, 3, 1, {4, 5}, window});
  const Values x = RandomValues(2 * 20, 1);
  const Values w = RandomValues(2 * 3 * 9, 2);
  Values y(static_cast<size_t>(3 * g.output[0] * g.output[1]));
  reference::Convolve(g, x, w, {}, y);
  ExpectClose(y, ConvolveByDefinition(g, x, w, {}), "");
  const auto engine = onednn::Engine::Create();
  EXPECT_TRUE(absl::IsUnimplemented(onednn::MakeConvolution(**engine, g, onednn::Bias::kAbsent, {}).status()));
}

TEST(GemmTest, EveryFormAgreesWithTheDefinition) {
  constexpr int64_t kM = 3;
  constexpr int64_t kK = 17;
  constexpr int64_t kN = 5;
  const Values a = RandomValues(kM * kK, 1);
  const Values b = RandomValues(kK * kN, 2);
  const Values c = RandomValues(kM * kN, 3);
  using Operand = GemmGeometry::Operand;
  for (const Operand a_kind : {Operand::kPlain, Operand::kTransposed}) {
    for (const Operand b_kind : {Operand::kPlain, Operand::kTransposed}) {
      for (const Shape& c_shape : {Shape({kM, kN}), Shape({kN}), Shape({kM, 1}), Shape({1, kN}), Shape(), Shape({1})}) {
        GemmGeometry form;
        form.a = a_kind;
        form.b = b_kind;
        form.alpha = 0.5F;
        form.beta = -2;
        const Shape a_shape = a_kind == Operand::kPlain ? Shape({kM, kK}) : Shape({kK, kM});
        const Shape b_shape = b_kind == Operand::kPlain ? Shape({kK, kN}) : Shape({kN, kK});
        const auto g = MakeGemmGeometry(form, a_shape, b_shape, &c_shape, Shape({kM, kN}));
        ASSERT_TRUE(g.ok()) << g.status();
        Values expected;
        for (int64_t i = 0; i < kM * kN; ++i) {
          const int64_t m = i / kN;
          const int64_t n = i % kN;
          double sum = 0;
          for (int64_t k = 0; k < kK; ++k) {
            const int64_t a_at = a_kind == Operand::kPlain ? m * kK + k : k * kM + m;
            const int64_t b_at = b_kind == Operand::kPlain ? k * kN + n : n * kK + k;
            sum += static_cast<double>(a[static_cast<size_t>(a_at)]) * b[static_cast<size_t>(b_at)];
          }
          const int64_t c_at = m * g->c_row_stride + n * g->c_column_stride;
          expected.push_back(static_cast<float>(0.5 * sum - 2 * c[static_cast<size_t>(c_at)]));
        }
        Values y(kM * kN);
        reference::Gemm(*g, a, b, std::span(c).first(c_shape.num_elements()), y);
        ExpectClose(y, expected, c_shape.ToString());
      }
    }
  }
}

TEST(InnerProductTest, OneDnnAgreesWithTheReference) {
  const OneDnnHarness dnn;
  for (const auto& [m, k, n] :
       std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {1, 17, 10}, {1, 512, 1000}, {5, 64, 33}}) {
    GemmGeometry g;
    g.m = m;
    g.k = k;
    g.n = n;
    g.b = GemmGeometry::Operand::kTransposed;
    g.c_column_stride = 1;
    onednn::PostOps post_ops;
    post_ops.activations = {{Activation::Kind::kRelu}};
    const auto primitive = onednn::MakeInnerProduct(dnn.engine(), g, onednn::Bias::kPresent, post_ops);
    if (absl::IsUnimplemented(primitive.status())) {
      continue;  // left to the reference kernel
    }
    ASSERT_TRUE(primitive.ok()) << primitive.status();
    const Values x = RandomValues(static_cast<size_t>(m * k), 1);
    const Values w = RandomValues(static_cast<size_t>(k * n), 2);
    const Values bias = RandomValues(static_cast<size_t>(n), 3);
    Values y(static_cast<size_t>(m * n));
    reference::Gemm(g, x, w, bias, y);
    reference::Activate(post_ops.activations[0], y, y);
    ExpectClose(dnn.Run(*primitive, {x, w, bias}), y, primitive->implementation());
  }
}

struct MatMulCase {
  Shape a, b, y;
};

TEST(MatMulTest, OneDnnAgreesWithTheReferenceAndBothWithNumpysRules) {
  const OneDnnHarness dnn;
  const std::vector<MatMulCase> cases = {
      {Shape({3, 4}), Shape({4, 5}), Shape({3, 5})},
      {Shape({4}), Shape({4, 5}), Shape({5})},
      {Shape({3, 4}), Shape({4}), Shape({3})},
      {Shape({4}), Shape({4}), Shape()},
      {Shape({2, 3, 4}), Shape({4, 5}), Shape({2, 3, 5})},
      {Shape({2, 1, 3, 4}), Shape({1, 3, 4, 2}), Shape({2, 3, 3, 2})},
      {Shape({7, 17, 33}), Shape({7, 33, 17}), Shape({7, 17, 17})},
  };
  for (const MatMulCase& c : cases) {
    const auto g = MakeMatMulGeometry(c.a, c.b, c.y);
    ASSERT_TRUE(g.ok()) << g.status();
    const Values a = RandomValues(c.a.num_elements(), 1);
    const Values b = RandomValues(c.b.num_elements(), 2);
    Values y(c.y.num_elements());
    reference::MatMul(*g, a, b, y);
    // The first matrix against the plain Gemm, which has its own test.
    GemmGeometry first;
    first.m = g->m;
    first.k = g->k;
    first.n = g->n;
    Values expected(static_cast<size_t>(g->m * g->n));
    reference::Gemm(first, a, b, {}, expected);
    ExpectClose(std::span(y).first(expected.size()), expected, c.a.ToString());
    const auto primitive = onednn::MakeMatMul(dnn.engine(), *g);
    if (!absl::IsUnimplemented(primitive.status())) {
      ASSERT_TRUE(primitive.ok()) << primitive.status();
      ExpectClose(dnn.Run(*primitive, {a, b}), y, primitive->implementation());
    }
  }
}

}  // namespace
}  // namespace shoji::kernels
