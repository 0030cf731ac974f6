// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/declassify.h"

#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/unit/enclave_worker/core/linear_layers.h"

namespace shoji::enclave {
namespace {

partition::Segment OpenSegment() {
  partition::Segment segment;
  segment.place = partition::Placement::kOpen;
  segment.inputs = {{"x", DataType::kFloat32, Shape({1, 4})}};
  return segment;
}

SecretTensors LiveWith(const std::string& name, const Shape& shape) {
  SecretTensors live;
  live.Put(name, Tensor(DataType::kFloat32, shape));
  return live;
}

TEST(DeclassifyTest, GivesExactlyTheTensorsThatThePlanOpens) {
  SecretTensors live = LiveWith("x", Shape({1, 4}));
  live.Put("other", Tensor(DataType::kFloat32, Shape({1, 8})));
  const auto out = OpenSegmentInputs(OpenSegment(), live);
  ASSERT_TRUE(out.ok());
  ASSERT_EQ(out->size(), 1U);
  EXPECT_EQ((*out)[0], live.Find("x"));
}

TEST(DeclassifyTest, GivesNothingForASegmentOfAnyOtherPlacement) {
  const SecretTensors live = LiveWith("x", Shape({1, 4}));
  for (const auto place :
       {partition::Placement::kEnclave, partition::Placement::kBlinded, partition::Placement::kVerified}) {
    partition::Segment segment = OpenSegment();
    segment.place = place;
    EXPECT_EQ(ReasonOf(OpenSegmentInputs(segment, live).status()), Reason::kInternal);
  }
}

TEST(DeclassifyTest, GivesNothingForAConfidentialSegment) {
  partition::Segment segment = OpenSegment();
  segment.confidential = true;
  EXPECT_FALSE(OpenSegmentInputs(segment, LiveWith("x", Shape({1, 4}))).ok());
}

TEST(DeclassifyTest, GivesNothingWhenATensorIsNotWhatThePlanSays) {
  EXPECT_FALSE(OpenSegmentInputs(OpenSegment(), LiveWith("x", Shape({1, 5}))).ok());
  EXPECT_FALSE(OpenSegmentInputs(OpenSegment(), LiveWith("y", Shape({1, 4}))).ok());
}

// A layer of a segment of `place`, with all its rows added in `form`.
absl::StatusOr<Tensor> ReleasedFrom(partition::Placement place, OutgoingLayer::Form form) {
  const quantization::LinearLayer layer = testing::SeededLayer(3, 4, 5, 1);
  const LayerCodec codec(layer, BestCodecIsa());
  const PadKey key = PadKey::Draw();
  OutgoingLayer message(codec, form, form == OutgoingLayer::Form::kClear ? nullptr : &key, 0);
  const std::vector<uint8_t> row(20, 9);
  for (int64_t i = 0; i < 5; ++i) {
    message.AddRow(i, row);
  }
  partition::Segment segment;
  segment.place = place;
  return LayerInput(segment, std::move(message));
}

TEST(DeclassifyTest, GivesAMaskedOrRandomLayerInputForABlindedSegmentAndAClearOneForAVerifiedSegment) {
  EXPECT_TRUE(ReleasedFrom(partition::Placement::kBlinded, OutgoingLayer::Form::kMasked).ok());
  EXPECT_TRUE(ReleasedFrom(partition::Placement::kBlinded, OutgoingLayer::Form::kRandom).ok());
  const auto clear = ReleasedFrom(partition::Placement::kVerified, OutgoingLayer::Form::kClear);
  ASSERT_TRUE(clear.ok());
  EXPECT_EQ(clear->values<uint8_t>()[0], 9);
}

// The fourth channel only fills up a position: in the frame it may hold what the memory held before.
TEST(DeclassifyTest, AClearLayerInputHoldsNothingInThePaddingOfItsChannels) {
  const auto clear = ReleasedFrom(partition::Placement::kVerified, OutgoingLayer::Form::kClear);
  ASSERT_TRUE(clear.ok());
  const std::span<const uint8_t> bytes = clear->values<uint8_t>();
  for (size_t row = 0; row < 5; ++row) {
    for (size_t at = 0; at < 64; ++at) {
      EXPECT_EQ(bytes[row * 64 + at], at < 20 && at % 4 != 3 ? 9 : 0) << "row " << row << " byte " << at;
    }
  }
}

TEST(DeclassifyTest, GivesNoLayerInputInTheClearForABlindedSegment) {
  for (const auto place :
       {partition::Placement::kBlinded, partition::Placement::kEnclave, partition::Placement::kOpen}) {
    EXPECT_EQ(ReasonOf(ReleasedFrom(place, OutgoingLayer::Form::kClear).status()), Reason::kInternal);
  }
  for (const auto place : {partition::Placement::kVerified, partition::Placement::kEnclave}) {
    EXPECT_FALSE(ReleasedFrom(place, OutgoingLayer::Form::kMasked).ok());
  }
}

TEST(DeclassifyTest, GivesNoLayerInputOfWhichARowIsMissing) {
  const quantization::LinearLayer layer = testing::SeededLayer(3, 4, 5, 1);
  const LayerCodec codec(layer, BestCodecIsa());
  const PadKey key = PadKey::Draw();
  OutgoingLayer message(codec, OutgoingLayer::Form::kMasked, &key, 0);
  message.AddRow(0, std::vector<uint8_t>(20, 9));
  partition::Segment segment;
  segment.place = partition::Placement::kBlinded;
  EXPECT_FALSE(LayerInput(segment, std::move(message)).ok());
}

}  // namespace
}  // namespace shoji::enclave
