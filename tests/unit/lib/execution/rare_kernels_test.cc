// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Graphs whose rare operators do not fit their attributes or shapes: none gets a kernel.

#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/execution/plain_kernels.h"
#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::execution {
namespace {

using graph::Op;
using ::testing::HasSubstr;

// What CheckGraph says of one node from `x` to `y`.
std::string Refusal(Op op, const Shape& x, const Shape& y, graph::Attributes attributes = {}) {
  GraphBuilder builder;
  builder.Output(builder.Node(op, {builder.Input(x)}, y, std::move(attributes)));
  return std::string(CheckGraph(builder.graph()).message());
}

const Shape kPicture({1, 4, 2, 2});

TEST(RareKernelsTest, OperatorsOfTheRightShapesAreRun) {
  EXPECT_EQ(Refusal(Op::kLrn, kPicture, kPicture, graph::LrnAttributes()), "");
  EXPECT_EQ(Refusal(Op::kFakeQuantize, kPicture, kPicture, graph::FakeQuantizeAttributes()), "");
  EXPECT_EQ(Refusal(Op::kReduceMax, kPicture, Shape({1, 2, 2}), graph::ReduceAttributes{{1}, false}), "");
  EXPECT_EQ(Refusal(Op::kExpand, Shape({4, 1}), Shape({3, 4, 2})), "");
  EXPECT_EQ(Refusal(Op::kGather, kPicture, Shape({1, 3, 2, 2}), graph::GatherAttributes{1, {3, 0, 0}}), "");
}

TEST(RareKernelsTest, AttributesOfAnotherOperatorAreRefused) {
  for (const Op op : {Op::kLrn, Op::kFakeQuantize, Op::kReduceMax, Op::kGather}) {
    EXPECT_THAT(Refusal(op, kPicture, kPicture, graph::AxisAttributes{1}), HasSubstr("those of another operator"));
  }
}

TEST(RareKernelsTest, OutputsOfAnotherShapeAreRefused) {
  const Shape other({1, 4, 2, 3});
  EXPECT_NE(Refusal(Op::kLrn, kPicture, other, graph::LrnAttributes()), "");
  EXPECT_NE(Refusal(Op::kFakeQuantize, kPicture, other, graph::FakeQuantizeAttributes()), "");
  EXPECT_NE(Refusal(Op::kReduceMax, kPicture, other, graph::ReduceAttributes{{1}, true}), "");
  EXPECT_NE(Refusal(Op::kExpand, kPicture, other), "");
  EXPECT_NE(Refusal(Op::kGather, kPicture, other, graph::GatherAttributes{1, {0}}), "");
}

TEST(RareKernelsTest, IndicesOutOfRangeAreRefused) {
  for (const int64_t index : {int64_t{-1}, int64_t{4}}) {
    EXPECT_THAT(Refusal(Op::kGather, kPicture, Shape({1, 1, 2, 2}), graph::GatherAttributes{1, {index}}),
                HasSubstr("an index is out of range"));
  }
  EXPECT_NE(Refusal(Op::kGather, kPicture, Shape({1, 1, 2, 2}), graph::GatherAttributes{4, {0}}), "");
}

TEST(RareKernelsTest, ScalesAndBoundsOutOfOrderAreRefused) {
  for (const float scale : {0.0F, -1.0F, std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(Refusal(Op::kFakeQuantize, kPicture, kPicture, graph::FakeQuantizeAttributes{scale, 0, 0, 255}),
                HasSubstr("out of order"));
  }
  EXPECT_THAT(Refusal(Op::kFakeQuantize, kPicture, kPicture, graph::FakeQuantizeAttributes{1, 0, 255, 0}),
              HasSubstr("out of order"));
}

TEST(RareKernelsTest, RegionsOfNoOrTooManyChannelsAreRefused) {
  for (const int64_t size : {int64_t{0}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_NE(Refusal(Op::kLrn, kPicture, kPicture, graph::LrnAttributes{size, 1, 1, 1}), "");
  }
}

}  // namespace
}  // namespace shoji::execution
