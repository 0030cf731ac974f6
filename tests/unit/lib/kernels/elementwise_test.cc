// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/kernels/onednn/elementwise.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/kernels/geometry.h"
#include "lib/kernels/onednn/movement.h"
#include "lib/kernels/reference/elementwise.h"
#include "lib/kernels/reference/movement.h"
#include "tests/unit/lib/kernels/onednn_harness.h"

namespace shoji::kernels {
namespace {

constexpr dnnl_format_tag_t kTags[] = {dnnl_nchw, dnnl_nhwc, dnnl_nChw16c, dnnl_nChw8c};

TEST(ActivationTest, OneDnnAgreesWithTheReferenceInEveryLayout) {
  const OneDnnHarness dnn;
  const std::vector<Activation> activations = {
      {Activation::Kind::kRelu},        {Activation::Kind::kLeakyRelu, 0.1F},
      {Activation::Kind::kSigmoid},     {Activation::Kind::kHardSigmoid, 0.2F, 0.5F},
      {Activation::Kind::kHardSwish},   {Activation::Kind::kTanh},
      {Activation::Kind::kClip, -1, 2}, {Activation::Kind::kSwish},
      {Activation::Kind::kElu, 0.7F},   {Activation::Kind::kSelu, 1.5F, 1.2F},
      {Activation::Kind::kAbs},         {Activation::Kind::kNeg},
      {Activation::Kind::kExp}};
  Values x = RandomValues(17 * 5 * 7, 1);
  for (float& value : x) {
    value *= 8;
  }
  for (const Activation& activation : activations) {
    Values y(x.size());
    reference::Activate(activation, x, y);
    for (const dnnl_format_tag_t tag : kTags) {
      const auto primitives =
          onednn::MakeActivation(dnn.engine(), activation, OneDnnHarness::Blocked({1, 17, 5, 7}, tag));
      if (absl::IsUnimplemented(primitives.status()) && tag != dnnl_nchw) {
        continue;  // channels padded with zeros, which not every function keeps
      }
      ASSERT_TRUE(primitives.ok()) << primitives.status();
      Values out = x;
      for (const onednn::Primitive& primitive : *primitives) {
        out = dnn.Run(primitive, {out});
      }
      ExpectClose(out, y, "activation " + std::to_string(static_cast<int>(activation.kind)));
    }
  }
}

TEST(ActivationTest, ReferenceHasTheValuesOfTheDefinitions) {
  const Values x = {-4, -1, 0, 0.5F, 7};
  Values y(x.size());
  reference::Activate({Activation::Kind::kRelu}, x, y);
  EXPECT_EQ(y, (Values{0, 0, 0, 0.5F, 7}));
  reference::Activate({Activation::Kind::kLeakyRelu, 0.5F}, x, y);
  EXPECT_EQ(y, (Values{-2, -0.5F, 0, 0.5F, 7}));
  reference::Activate({Activation::Kind::kClip, -1, 6}, x, y);
  EXPECT_EQ(y, (Values{-1, -1, 0, 0.5F, 6}));
  reference::Activate({Activation::Kind::kHardSigmoid, 0.25F, 0.5F}, x, y);
  EXPECT_EQ(y, (Values{0, 0.25F, 0.5F, 0.625F, 1}));
  reference::Activate({Activation::Kind::kHardSwish}, x, y);
  ExpectClose(y, Values{0, -1.0F / 3, 0, 0.5F * 3.5F / 6, 7}, "hard swish");
  reference::Activate({Activation::Kind::kSigmoid}, x, y);
  ExpectClose(y, Values{0.0179862F, 0.2689414F, 0.5F, 0.6224593F, 0.9990889F}, "sigmoid");
  reference::Activate({Activation::Kind::kSwish}, x, y);
  ExpectClose(y, Values{-0.0719448F, -0.2689414F, 0, 0.3112297F, 6.9936226F}, "swish");
  reference::Activate({Activation::Kind::kTanh}, x, y);
  ExpectClose(y, Values{-0.9993293F, -0.7615942F, 0, 0.4621172F, 0.9999983F}, "tanh");
}

TEST(ActivationTest, FunctionsThatOneDnnDoesNotHaveAreLeftToTheReference) {
  const OneDnnHarness dnn;
  for (const Activation::Kind kind :
       {Activation::Kind::kSoftsign, Activation::Kind::kErf, Activation::Kind::kThresholdedRelu,
        Activation::Kind::kSoftplus, Activation::Kind::kFloor, Activation::Kind::kSign}) {
    const auto made = onednn::MakeActivation(dnn.engine(), {kind}, OneDnnHarness::Plain({1, 4}));
    EXPECT_TRUE(absl::IsUnimplemented(made.status()));
  }
  const auto power =
      onednn::MakeBinary(dnn.engine(), BinaryKind::kPow, OneDnnHarness::Plain({1, 4}), OneDnnHarness::Plain({1, 4}));
  EXPECT_TRUE(absl::IsUnimplemented(power.status()));
}

TEST(BinaryTest, EveryBroadcastFormMatchesNumpysRules) {
  const Shape y_shape({2, 3, 4, 5});
  const std::vector<Shape> forms = {
      y_shape,    Shape({1, 3, 1, 1}), Shape({3, 1, 1}), Shape({2, 1, 4, 1}), Shape({4, 5}),
      Shape({5}), Shape({1}),          Shape(),          Shape({2, 3, 1, 5})};
  for (const Shape& form : forms) {
    for (const bool broadcast_left : {false, true}) {
      const Shape& a_shape = broadcast_left ? form : y_shape;
      const Shape& b_shape = broadcast_left ? y_shape : form;
      const auto nest = MakeBroadcast(a_shape, b_shape, y_shape);
      ASSERT_TRUE(nest.ok()) << nest.status();
      const Values a = RandomValues(a_shape.num_elements(), 1);
      const Values b = RandomValues(b_shape.num_elements(), 2);
      const auto at = [&](const Shape& shape, size_t i) {  // the element that y's element i reads
        size_t index = 0;
        size_t stride = 1;
        for (size_t d = 0; d < y_shape.rank(); ++d) {
          const size_t axis = y_shape.rank() - 1 - d;
          const size_t position = i % static_cast<size_t>(y_shape[axis]);
          i /= static_cast<size_t>(y_shape[axis]);
          if (d < shape.rank()) {
            const auto extent = static_cast<size_t>(shape[shape.rank() - 1 - d]);
            index += (extent == 1 ? 0 : position) * stride;
            stride *= extent;
          }
        }
        return index;
      };
      Values y(y_shape.num_elements());
      Values expected(y.size());
      reference::Binary(BinaryKind::kSub, *nest, a, b, y);
      for (size_t i = 0; i < y.size(); ++i) {
        expected[i] = a[at(a_shape, i)] - b[at(b_shape, i)];
      }
      EXPECT_EQ(y, expected) << a_shape.ToString() << " - " << b_shape.ToString();
    }
  }
}

TEST(BinaryTest, OneDnnAgreesWithTheReferenceInEveryLayout) {
  const OneDnnHarness dnn;
  const std::vector<int64_t> dims = {1, 17, 5, 7};
  const Values a = RandomValues(17 * 35, 1);
  for (const std::vector<int64_t>& b_dims : std::vector<std::vector<int64_t>>{dims, {1, 17, 1, 1}, {1, 1, 1, 1}}) {
    const Shape b_shape = *Shape::Create(b_dims);
    Values b = RandomValues(b_shape.num_elements(), 2);
    for (float& value : b) {
      value += 2;
    }
    for (const BinaryKind kind :
         {BinaryKind::kAdd, BinaryKind::kSub, BinaryKind::kMul, BinaryKind::kDiv, BinaryKind::kMax, BinaryKind::kMin}) {
      const auto nest = MakeBroadcast(Shape({1, 17, 5, 7}), b_shape, Shape({1, 17, 5, 7}));
      Values y(a.size());
      reference::Binary(kind, *nest, a, b, y);
      for (const dnnl_format_tag_t tag : kTags) {
        const auto primitive = onednn::MakeBinary(dnn.engine(), kind, OneDnnHarness::Blocked(dims, tag),
                                                  OneDnnHarness::Blocked(b_dims, tag));
        if (absl::IsUnimplemented(primitive.status())) {
          continue;
        }
        ASSERT_TRUE(primitive.ok()) << primitive.status();
        ExpectClose(dnn.Run(*primitive, {a, b}), y, primitive->implementation() + " " + b_shape.ToString());
      }
    }
  }
}

TEST(BatchNormTest, OneDnnAgreesWithTheReferenceAndBothWithTheDefinition) {
  const OneDnnHarness dnn;
  const Values x = RandomValues(17 * 35, 1);
  const Values scale = RandomValues(17, 2);
  const Values bias = RandomValues(17, 3);
  const Values mean = RandomValues(17, 4);
  Values variance = RandomValues(17, 5);
  for (float& value : variance) {
    value = value * value + 0.1F;
  }
  const auto view = MakeAxisView(Shape({1, 17, 5, 7}), 1);
  Values y(x.size());
  reference::BatchNorm(*view, {scale, bias, mean, variance, 1e-3F}, x, y);
  Values expected(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i / 35;
    expected[i] = scale[c] * (x[i] - mean[c]) / std::sqrt(variance[c] + 1e-3F) + bias[c];
  }
  ExpectClose(y, expected, "reference");
  for (const dnnl_format_tag_t tag : kTags) {
    const auto primitive = onednn::MakeBatchNorm(dnn.engine(), 1e-3F, OneDnnHarness::Blocked({1, 17, 5, 7}, tag));
    if (!absl::IsUnimplemented(primitive.status())) {
      ASSERT_TRUE(primitive.ok()) << primitive.status();
      ExpectClose(dnn.Run(*primitive, {x, mean, variance, scale, bias}), y, primitive->implementation());
    }
  }
}

TEST(SoftmaxTest, OneDnnAgreesWithTheReferenceAlongEveryAxis) {
  const OneDnnHarness dnn;
  const Values x = RandomValues(2 * 17 * 5, 1);
  for (int64_t axis = 0; axis < 3; ++axis) {
    const auto view = MakeAxisView(Shape({2, 17, 5}), axis);
    Values y(x.size());
    reference::Softmax(*view, x, y);
    EXPECT_NEAR(std::accumulate(y.begin(), y.end(), 0.0F), static_cast<float>(170 / view->extent), 1e-3F);
    const auto primitive = onednn::MakeSoftmax(dnn.engine(), axis, OneDnnHarness::Plain({2, 17, 5}));
    if (!absl::IsUnimplemented(primitive.status())) {
      ASSERT_TRUE(primitive.ok()) << primitive.status();
      ExpectClose(dnn.Run(*primitive, {x}), y, primitive->implementation());
    }
  }
}

TEST(LrnTest, OneDnnAgreesWithTheReferenceInEveryLayout) {
  const OneDnnHarness dnn;
  size_t num_made = 0;
  for (const int64_t channels : {16, 24, 96}) {
    const std::vector<int64_t> dims = {1, channels, 5, 7};
    const Values x = RandomValues(static_cast<size_t>(channels) * 35, 1);
    const auto view = MakeAxisView(*Shape::Create(dims), 1);
    for (const int64_t size : {1, 3, 4, 5, 7}) {
      const reference::LrnParameters parameters = {.size = size, .alpha = 0.5F, .beta = 0.75F, .bias = 2};
      Values y(x.size());
      reference::Lrn(*view, parameters, x, y);
      for (const onednn::Layout& layout : {OneDnnHarness::Plain(dims), OneDnnHarness::Blocked(dims, dnnl_nChw8c),
                                           OneDnnHarness::Blocked(dims, dnnl_nChw16c)}) {
        const auto primitive = onednn::MakeLrn(dnn.engine(), parameters, layout);
        if (!absl::IsUnimplemented(primitive.status())) {
          ASSERT_TRUE(primitive.ok()) << primitive.status();
          ASSERT_EQ(size % 2, 1) << "an even region lies elsewhere in oneDNN";
          ExpectClose(dnn.Run(*primitive, {x}), y, primitive->implementation());
          ++num_made;
        }
      }
    }
  }
  EXPECT_GT(num_made, 0U);
}

TEST(FakeQuantizeTest, RoundsHalfToEvenAndKeepsToTheRange) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Values x = {-0.5F, 0.25F, 0.75F, 1.25F, 1e9F, -1e9F, kInfinity, -kInfinity, std::nanf(""), 126.9F};
  Values y(x.size());
  reference::FakeQuantize({.scale = 0.5F, .low = -1, .high = 254}, x, y);
  EXPECT_EQ(y, (Values{-0.5F, 0, 1, 1, 127, -0.5F, 127, -0.5F, -0.5F, 127}));
}

TEST(SoftmaxTest, StaysFiniteForLargeInputs) {
  const Values x = {1000, 999, -1000};
  Values y(3);
  reference::Softmax(AxisView{1, 3, 1}, x, y);
  ExpectClose(y, Values{0.7310586F, 0.2689414F, 0}, "");
}

TEST(ReduceMeanTest, MatchesTheDefinitionForEveryChoiceOfAxes) {
  const Shape x_shape({2, 3, 4, 5});
  const Values x = RandomValues(x_shape.num_elements(), 1);
  for (unsigned mask = 0; mask < 16; ++mask) {
    std::vector<int64_t> axes;
    std::vector<int64_t> kept = x_shape.dims();
    for (size_t d = 0; d < 4; ++d) {
      if ((mask >> d & 1U) != 0) {
        axes.push_back(static_cast<int64_t>(d));
        kept[d] = 1;
      }
    }
    const Shape y_shape = *Shape::Create(kept);
    const auto nest = MakeReduction(x_shape, axes, y_shape);
    ASSERT_TRUE(nest.ok()) << nest.status();
    Values y(y_shape.num_elements());
    reference::ReduceMean(*nest, x, y);
    Values expected(y.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t index[] = {i / 60, i / 20 % 3, i / 5 % 4, i % 5};
      size_t at = 0;
      for (size_t d = 0; d < 4; ++d) {
        at = at * static_cast<size_t>(kept[d]) + (kept[d] == 1 ? 0 : index[d]);
      }
      expected[at] += x[i] / static_cast<float>(x.size() / y.size());
    }
    ExpectClose(y, expected, "axes " + std::to_string(mask));
  }
}

TEST(MovementTest, TransposesSlicesAndPads) {
  const Values x = {0, 1, 2, 3, 4, 5};  // [2,3]
  Values y(6);
  reference::Copy(*MakeTranspose(Shape({2, 3}), {{1, 0}}, Shape({3, 2})), x, y);
  EXPECT_EQ(y, (Values{0, 3, 1, 4, 2, 5}));
  y.resize(4);
  reference::Copy(*MakeSlice(Shape({2, 3}), {{0, 2}}, {{1, -2}}, Shape({2, 2})), x, y);
  EXPECT_EQ(y, (Values{2, 0, 5, 3}));
  y.resize(8);
  reference::Pad(*MakePad(Shape({2, 3}), {{1, -1}}, {{1, 0}}, Shape({4, 2})), 9, x, y);
  EXPECT_EQ(y, (Values{9, 9, 1, 2, 4, 5, 9, 9}));
  y.resize(4);
  reference::Pad(*MakePad(Shape({2, 3}), {{0, -5}}, {{0, 4}}, Shape({2, 2})), 9, x, y);
  EXPECT_EQ(y, (Values{9, 9, 9, 9}));
}

TEST(ConcatTest, OneDnnAgreesWithTheReferenceAlongEveryAxisAndLayout) {
  const OneDnnHarness dnn;
  for (int64_t axis = 0; axis < 4; ++axis) {
    for (const int64_t second : {1, 16, 17}) {
      std::vector<int64_t> dims[] = {{2, 16, 3, 5}, {2, 16, 3, 5}, {2, 16, 3, 5}};
      dims[1][static_cast<size_t>(axis)] = second;
      dims[2][static_cast<size_t>(axis)] += second;
      const Shape shapes[] = {*Shape::Create(dims[0]), *Shape::Create(dims[1]), *Shape::Create(dims[2])};
      const Values parts[] = {RandomValues(shapes[0].num_elements(), 1), RandomValues(shapes[1].num_elements(), 2)};
      Values y(shapes[2].num_elements());
      const AxisView view = *MakeAxisView(shapes[2], axis);
      reference::Insert(*MakeAxisView(shapes[0], axis), view, 0, parts[0], y);
      reference::Insert(*MakeAxisView(shapes[1], axis), view, shapes[0][static_cast<size_t>(axis)], parts[1], y);
      for (const dnnl_format_tag_t tag : kTags) {
        const onednn::Layout layouts[] = {OneDnnHarness::Blocked(dims[0], tag), OneDnnHarness::Blocked(dims[1], tag)};
        const auto primitive = onednn::MakeConcat(dnn.engine(), axis, layouts);
        if (!absl::IsUnimplemented(primitive.status())) {
          ASSERT_TRUE(primitive.ok()) << primitive.status();
          ExpectClose(dnn.Run(*primitive, {parts[0], parts[1]}), y, primitive->implementation());
        }
      }
    }
  }
}

TEST(LayoutTest, KnowsWhenBlocksLieLikeRows) {
  EXPECT_TRUE(OneDnnHarness::Plain({2, 3, 4}).HasPlainBytes());
  EXPECT_TRUE(OneDnnHarness::Plain({}).HasPlainBytes());
  EXPECT_TRUE(OneDnnHarness::Blocked({1, 32, 1, 1}, dnnl_nChw16c).HasPlainBytes());
  EXPECT_TRUE(OneDnnHarness::Blocked({1, 32, 1, 1}, dnnl_nhwc).HasPlainBytes());
  EXPECT_FALSE(OneDnnHarness::Blocked({1, 33, 1, 1}, dnnl_nChw16c).HasPlainBytes());
  EXPECT_FALSE(OneDnnHarness::Blocked({1, 32, 1, 2}, dnnl_nChw16c).HasPlainBytes());
  EXPECT_FALSE(OneDnnHarness::Blocked({1, 32, 2, 2}, dnnl_nhwc).HasPlainBytes());
  EXPECT_FALSE(onednn::Layout::Strided({{2, 2}}, {{4, 1}})->HasPlainBytes());
}

}  // namespace
}  // namespace shoji::kernels
