// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/quantization/move.h"

#include <algorithm>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::quantization {
namespace {

using execution::GraphBuilder;
using graph::Op;
using graph::ValueId;
using ::testing::ElementsAre;

std::vector<MovePart> PartsOf(GraphBuilder& b) { return MovePartsOf(b.graph(), b.graph().nodes.back()); }

TEST(MoveTest, ReshapeThatMovesNothingIsOneRun) {
  GraphBuilder b;
  b.Node(Op::kReshape, {b.Input(Shape({1, 8, 1, 1}))}, Shape({1, 8}));
  EXPECT_THAT(PartsOf(b), ElementsAre(ElementsAre(ByteRun{0, 0, 8})));
}

TEST(MoveTest, FlatteningGathersTheChannelsOfEachPixel) {
  GraphBuilder b;
  b.Node(Op::kReshape, {b.Input(Shape({1, 2, 1, 3}))}, Shape({1, 6}));
  // Pixels of two channels in four bytes; ONNX wants all of channel 0 first.
  EXPECT_THAT(PartsOf(b), ElementsAre(ElementsAre(ByteRun{0, 0, 1}, ByteRun{4, 1, 1}, ByteRun{8, 2, 1},
                                                  ByteRun{1, 3, 1}, ByteRun{5, 4, 1}, ByteRun{9, 5, 1})));
}

TEST(MoveTest, ChannelsAreConcatenatedInEveryPixel) {
  GraphBuilder b;
  const ValueId x = b.Input(Shape({1, 2, 1, 2}));
  const ValueId y = b.Input(Shape({1, 3, 1, 2}));
  b.Node(Op::kConcat, {x, y}, Shape({1, 5, 1, 2}), graph::AxisAttributes{1});
  EXPECT_THAT(PartsOf(b), ElementsAre(ElementsAre(ByteRun{0, 0, 2}, ByteRun{4, 8, 2}),
                                      ElementsAre(ByteRun{0, 2, 3}, ByteRun{4, 10, 3})));
}

TEST(MoveTest, PaddingLeavesItsCellsAlone) {
  GraphBuilder b;
  b.Node(Op::kPad, {b.Input(Shape({1, 4, 1, 2}))}, Shape({1, 4, 2, 3}),
         graph::PadAttributes{{0, 0, 1, 0}, {0, 0, 0, 1}, 0});
  EXPECT_THAT(PartsOf(b), ElementsAre(ElementsAre(ByteRun{0, 12, 8})));
}

TEST(MoveTest, NegativePaddingCrops) {
  GraphBuilder b;
  b.Node(Op::kPad, {b.Input(Shape({1, 4, 1, 3}))}, Shape({1, 4, 1, 1}),
         graph::PadAttributes{{0, 0, 0, -1}, {0, 0, 0, -1}, 0});
  EXPECT_THAT(PartsOf(b), ElementsAre(ElementsAre(ByteRun{4, 0, 4})));
}

TEST(MoveTest, SliceGoesByItsSteps) {
  GraphBuilder b;
  b.Node(Op::kSlice, {b.Input(Shape({1, 4, 1, 5}))}, Shape({1, 4, 1, 2}),
         graph::SliceAttributes{{0, 0, 0, 4}, {1, 1, 1, -3}});
  EXPECT_THAT(PartsOf(b), ElementsAre(ElementsAre(ByteRun{16, 0, 4}, ByteRun{4, 4, 4})));
}

TEST(MoveTest, TransposeExchangesRowsAndChannels) {
  GraphBuilder b;
  b.Node(Op::kTranspose, {b.Input(Shape({2, 3}))}, Shape({3, 2}), graph::TransposeAttributes{{1, 0}});
  EXPECT_THAT(PartsOf(b), ElementsAre(ElementsAre(ByteRun{0, 0, 1}, ByteRun{4, 1, 1}, ByteRun{1, 4, 1},
                                                  ByteRun{5, 5, 1}, ByteRun{2, 8, 1}, ByteRun{6, 9, 1})));
}

}  // namespace
}  // namespace shoji::quantization
