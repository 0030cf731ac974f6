// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/declassify.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/unit/enclave_worker/core/linear_layers.h"

namespace shoji::enclave {
namespace {

using ::testing::ElementsAre;

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

std::vector<float> Limited(const std::string& rule, std::vector<float> scores) {
  LimitResult(*attest::ResultRule::Parse(rule), scores);
  return scores;
}

constexpr float kLowest = std::numeric_limits<float>::lowest();

TEST(LimitResultTest, LeavesScoresAsTheyAre) {
  EXPECT_THAT(Limited("scores", {0.123456F, -7}), ElementsAre(0.123456F, -7));
}

TEST(LimitResultTest, RoundsHalfToEven) {
  EXPECT_THAT(Limited("rounded:0", {0.5F, 1.5F, 2.5F, -0.5F, -1.5F}), ElementsAre(0, 2, 2, 0, -2));
  EXPECT_THAT(Limited("rounded:1", {0.25F, 0.75F, 0.24F}), ElementsAre(0.2F, 0.8F, 0.2F));
  EXPECT_THAT(Limited("rounded:2", {1234.5678F, -0.004F}), ElementsAre(1234.57F, 0));
}

TEST(LimitResultTest, RoundsWhatIsHugeOrNotFiniteToItself) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_THAT(Limited("rounded:9", {3e38F, infinity, -infinity}), ElementsAre(3e38F, infinity, -infinity));
  EXPECT_TRUE(std::isnan(Limited("rounded:3", {std::nanf("")})[0]));
}

TEST(LimitResultTest, KeepsTheLargestAndZeroesTheOthersOfPositiveScores) {
  EXPECT_THAT(Limited("top-k:2", {0.1F, 0.5F, 0.2F, 0.3F}), ElementsAre(0, 0.5F, 0, 0.3F));
  EXPECT_THAT(Limited("top-k:1", {0.1F, 0.5F, -9, 0.3F}), ElementsAre(0, 0.5F, 0, 0));
}

TEST(LimitResultTest, WhatIsNotKeptRanksBelowWhatIs) {
  EXPECT_THAT(Limited("top-k:2", {-4, -1, -3, -2}), ElementsAre(kLowest, -1, kLowest, -2));
  EXPECT_THAT(Limited("top-k:2", {1, 0, -3, -2}), ElementsAre(1, 0, kLowest, kLowest));
}

TEST(LimitResultTest, OfEqualsTheFirstOnesAreKept) {
  EXPECT_THAT(Limited("top-k:2", {1, 2, 2, 2}), ElementsAre(0, 2, 2, 0));
  EXPECT_THAT(Limited("top-k:1", {7, 7}), ElementsAre(7, 0));
}

TEST(LimitResultTest, KeepsAllWhereThereAreNoMore) {
  EXPECT_THAT(Limited("top-k:3", {1, -2, 3}), ElementsAre(1, -2, 3));
  EXPECT_THAT(Limited("top-k:9", {1, -2, 3}), ElementsAre(1, -2, 3));
}

TEST(LimitResultTest, ANanIsKeptLast) {
  const std::vector<float> limited = Limited("top-k:2", {std::nanf(""), 1, 2, 0.5F});
  EXPECT_THAT(limited, ElementsAre(0, 1, 2, 0));
}

}  // namespace
}  // namespace shoji::enclave
