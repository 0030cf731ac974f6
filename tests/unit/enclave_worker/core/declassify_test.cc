// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/declassify.h"

#include <gtest/gtest.h>

#include "lib/base/reason.h"

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

}  // namespace
}  // namespace shoji::enclave
