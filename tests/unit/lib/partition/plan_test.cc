// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/plan.h"

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/digest/sha2.h"
#include "lib/graph/onnx_import.h"
#include "lib/partition/summary.h"
#include "tests/support/onnx_builder.h"

namespace shoji::partition {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SegmentPolicy FromInput(Placement place) {
  SegmentPolicy segment;
  segment.place = place;
  return segment;
}

SegmentPolicy From(const std::string& node, Placement place) {
  SegmentPolicy segment = FromInput(place);
  segment.start = {StartPoint::Kind::kAt, node};
  return segment;
}

SegmentPolicy After(const std::string& node, Placement place) {
  SegmentPolicy segment = FromInput(place);
  segment.start = {StartPoint::Kind::kAfter, node};
  return segment;
}

PartitionPolicy PolicyOf(std::vector<SegmentPolicy> segments) {
  PartitionPolicy policy;
  policy.model = "small";
  policy.segments = std::move(segments);
  return policy;
}

class PlanTest : public ::testing::Test {
 protected:
  absl::StatusOr<ResolvedPlan> ResolveSegments(std::vector<SegmentPolicy> segments) const {
    return Resolve(PolicyOf(std::move(segments)), graph_, accelerators_);
  }

  void ExpectRefused(std::vector<SegmentPolicy> segments, absl::StatusCode code, const std::string& text) const {
    const absl::StatusOr<ResolvedPlan> plan = ResolveSegments(std::move(segments));
    EXPECT_EQ(plan.status().code(), code) << plan.status();
    EXPECT_THAT(std::string(plan.status().message()), HasSubstr(text));
  }

  const graph::Graph graph_ = graph::ImportOnnx(shoji::testing::SmallResNet()).value();
  const std::vector<AcceleratorIdentity> accelerators_ = {{"gpu0", "alice", ToBytes("key a")},
                                                          {"gpu1", "bob", ToBytes("key b")}};
};

TEST_F(PlanTest, SegmentsCoverTheGraphAndCarryTheirLiveTensors) {
  const absl::StatusOr<ResolvedPlan> plan = ResolveSegments(
      {FromInput(Placement::kEnclave), From("block1_conv2", Placement::kOpen), After("pool", Placement::kEnclave)});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->segments.size(), 3U);
  EXPECT_EQ(plan->segments[0].first_node, 0U);
  EXPECT_EQ(plan->segments[0].end_node, plan->segments[1].first_node);
  EXPECT_EQ(plan->segments[1].end_node, plan->segments[2].first_node);
  EXPECT_EQ(plan->segments[2].end_node, graph_.nodes.size());
  EXPECT_EQ(plan->segments[1].first_node_name, "block1_conv2");
  EXPECT_EQ(plan->segments[1].last_node_name, "pool");
  EXPECT_EQ(plan->segments[2].first_node_name, "flatten");
  ASSERT_EQ(plan->segments[1].inputs.size(), 2U);
  EXPECT_EQ(plan->segments[1].inputs[0].name, "stem_relu_out");
  EXPECT_EQ(plan->segments[1].inputs[0].size_bytes(), 4U * 4 * 8 * 8);
  EXPECT_EQ(plan->segments[1].outputs.at(0).name, "pool_out");
  EXPECT_EQ(plan->segments[1].accelerators.size(), 2U);
  EXPECT_THAT(plan->segments[0].accelerators, IsEmpty());
  EXPECT_FALSE(plan->result_opened);
}

TEST_F(PlanTest, AnOutputThatEntersAnOpenSegmentOpensTheResult) {
  graph::Graph graph = graph_;
  for (graph::ValueId id = 0; id < graph.values.size(); ++id) {
    if (graph.values[id].name == "pool_out") {
      graph.outputs.push_back(id);
    }
  }
  ASSERT_EQ(graph.outputs.size(), graph_.outputs.size() + 1);
  PartitionPolicy policy;
  policy.model = "m";
  policy.segments = {FromInput(Placement::kEnclave), From("flatten", Placement::kOpen),
                     From("fc", Placement::kEnclave)};
  const absl::StatusOr<ResolvedPlan> plan = Resolve(policy, graph, {{"acc", "op", {}}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->result_opened);
}

TEST_F(PlanTest, OpenLastSegmentOpensTheResult) {
  const absl::StatusOr<ResolvedPlan> plan =
      ResolveSegments({FromInput(Placement::kEnclave), From("fc", Placement::kOpen)});
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->result_opened);
}

TEST_F(PlanTest, SummaryListsWhatTheAcceleratorSees) {
  const absl::StatusOr<ResolvedPlan> plan =
      ResolveSegments({FromInput(Placement::kEnclave), From("block1_conv1", Placement::kOpen),
                       From("pool", Placement::kEnclave), From("fc", Placement::kOpen)});
  ASSERT_TRUE(plan.ok());
  const std::vector<OpenedSegment> opened = Summarize(*plan);
  ASSERT_EQ(opened.size(), 2U);
  EXPECT_EQ(opened[0].index, 1U);
  EXPECT_EQ(opened[0].first_node, "block1_conv1");
  EXPECT_EQ(opened[0].last_node, "block1_relu2");
  EXPECT_THAT(opened[0].operators, ElementsAre("alice", "bob"));
  ASSERT_EQ(opened[0].revealed.size(), 1U);
  EXPECT_EQ(opened[0].revealed[0].name, "stem_relu_out");
  EXPECT_FALSE(opened[0].result_opened);
  EXPECT_TRUE(opened[1].result_opened);
}

TEST_F(PlanTest, SummaryOfTheEnclaveAloneIsEmpty) {
  EXPECT_THAT(Summarize(ResolveSegments({FromInput(Placement::kEnclave)}).value()), IsEmpty());
}

TEST_F(PlanTest, UnknownNodeSuggestsNearNames) {
  ExpectRefused({FromInput(Placement::kEnclave), From("block1_conv7", Placement::kOpen)}, absl::StatusCode::kNotFound,
                "segment 2 (from `block1_conv7`): the model has no node `block1_conv7` (did you mean block1_conv1");
}

TEST_F(PlanTest, UnknownAcceleratorSuggestsNearNames) {
  SegmentPolicy open = FromInput(Placement::kOpen);
  open.accelerators = {"gpu2"};
  ExpectRefused({open}, absl::StatusCode::kNotFound,
                "segment 1 (from the input): the deployment has no accelerator `gpu2` (did you mean gpu0, gpu1?)");
}

TEST_F(PlanTest, AcceleratorListedTwiceIsRefused) {
  SegmentPolicy open = FromInput(Placement::kOpen);
  open.accelerators = {"gpu0", "gpu0"};
  ExpectRefused({open}, absl::StatusCode::kInvalidArgument, "accelerator `gpu0` is listed twice");
}

TEST_F(PlanTest, OpenSegmentNeedsAnAccelerator) {
  const absl::StatusOr<ResolvedPlan> plan = Resolve(PolicyOf({FromInput(Placement::kOpen)}), graph_, {});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plan.status().message()), HasSubstr("needs an accelerator, and the deployment has none"));
}

TEST_F(PlanTest, AcceleratorsForTheEnclaveAreRefused) {
  SegmentPolicy enclave = FromInput(Placement::kEnclave);
  enclave.accelerators = {"gpu0"};
  ExpectRefused({enclave}, absl::StatusCode::kInvalidArgument, "a segment in the enclave takes no `accelerators`");
}

TEST_F(PlanTest, SegmentsOutOfOrderOrEmptyAreRefused) {
  ExpectRefused({FromInput(Placement::kEnclave), From("fc", Placement::kOpen), From("pool", Placement::kEnclave)},
                absl::StatusCode::kInvalidArgument, "segment 3 (from `pool`): starts before the segment before it");
  ExpectRefused({FromInput(Placement::kEnclave), From("fc", Placement::kOpen), After("flatten", Placement::kEnclave)},
                absl::StatusCode::kInvalidArgument, "segment 3 (after `flatten`): starts where the segment before it");
  ExpectRefused({FromInput(Placement::kEnclave), After("fc", Placement::kOpen)}, absl::StatusCode::kInvalidArgument,
                "segment 2 (after `fc`): nothing of the model is left to run there");
  ExpectRefused({}, absl::StatusCode::kInvalidArgument, "the policy has no segments");
}

TEST_F(PlanTest, FirstSegmentStartsAtTheInput) {
  ExpectRefused({From("fc", Placement::kEnclave)}, absl::StatusCode::kInvalidArgument,
                "segment 1 (from `fc`): the first segment must start at the input");
  EXPECT_TRUE(ResolveSegments({From("stem_conv", Placement::kEnclave)}).ok());
}

TEST_F(PlanTest, VerifyIsRefusedWhereItHasNoMeaning) {
  SegmentPolicy open = FromInput(Placement::kOpen);
  open.verify = true;
  ExpectRefused({open}, absl::StatusCode::kInvalidArgument, "`verify` has no meaning where the placement is `open`");
  SegmentPolicy verified = FromInput(Placement::kVerified);
  verified.verify = false;
  ExpectRefused({verified}, absl::StatusCode::kInvalidArgument, "placement `verified` is always checked");
}

TEST_F(PlanTest, UncheckedBlindedBeforeOpenIsRefused) {
  SegmentPolicy blinded = FromInput(Placement::kBlinded);
  blinded.verify = false;
  ExpectRefused({blinded, From("pool", Placement::kEnclave), From("fc", Placement::kOpen)},
                absl::StatusCode::kInvalidArgument, "`verify: false` is refused because segment 3 is `open`");
  ExpectRefused({blinded, From("fc", Placement::kVerified)}, absl::StatusCode::kInvalidArgument,
                "`verify: false` is refused because segment 2 is `verified`");
}

TEST_F(PlanTest, UncheckedBlindedAfterOpenIsAllowed) {
  SegmentPolicy blinded = From("pool", Placement::kBlinded);
  blinded.verify = false;
  EXPECT_TRUE(ResolveSegments({FromInput(Placement::kOpen), blinded, From("fc", Placement::kBlinded)}).ok());
}

TEST_F(PlanTest, ConfidentialOutsideTheEnclaveIsRefused) {
  SegmentPolicy open = FromInput(Placement::kOpen);
  open.confidential = true;
  ExpectRefused({open}, absl::StatusCode::kInvalidArgument, "`confidential` needs `place: enclave`, not `open`");
}

TEST_F(PlanTest, WhatIsNotAvailableYetSaysSo) {
  constexpr absl::StatusCode kCode = absl::StatusCode::kUnimplemented;
  SegmentPolicy int8 = FromInput(Placement::kOpen);
  int8.precision = Precision::kInt8;
  ExpectRefused({int8}, kCode, "precision `int8` in the open placement of segment 1 is not available yet");
}

TEST_F(PlanTest, MaskedAndCheckedSegmentsAreInt8AndCheckedByThemselves) {
  SegmentPolicy unchecked = From("fc", Placement::kBlinded);
  unchecked.verify = false;
  const absl::StatusOr<ResolvedPlan> plan =
      ResolveSegments({FromInput(Placement::kVerified), From("block1_conv1", Placement::kBlinded),
                       From("pool", Placement::kEnclave), unchecked});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->segments[0].precision, Precision::kInt8);
  EXPECT_EQ(plan->segments[1].precision, Precision::kInt8);
  EXPECT_EQ(plan->segments[2].precision, Precision::kFloat32);
  EXPECT_EQ(plan->segments[3].precision, Precision::kInt8);
  EXPECT_TRUE(plan->segments[0].verify);
  EXPECT_TRUE(plan->segments[1].verify);
  EXPECT_FALSE(plan->segments[2].verify);
  EXPECT_FALSE(plan->segments[3].verify);
  EXPECT_EQ(plan->segments[1].accelerators.size(), 2U);
}

TEST_F(PlanTest, EnclaveSegmentMayComputeInInt8) {
  SegmentPolicy int8 = FromInput(Placement::kEnclave);
  int8.precision = Precision::kInt8;
  const absl::StatusOr<ResolvedPlan> plan = ResolveSegments({int8});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->segments[0].precision, Precision::kInt8);
  EXPECT_FALSE(plan->segments[0].verify);
}

TEST_F(PlanTest, Float32IsRefusedWhereMasksAndChecksNeedIntegers) {
  for (const Placement place : {Placement::kBlinded, Placement::kVerified}) {
    SegmentPolicy segment = From("fc", place);
    segment.precision = Precision::kFloat32;
    ExpectRefused({FromInput(Placement::kEnclave), segment}, absl::StatusCode::kInvalidArgument,
                  "segment 2 (from `fc`): `precision: float32` is refused because placement `" +
                      std::string(NameOf(place)) + "` is always int8");
    segment.precision = Precision::kInt8;
    EXPECT_TRUE(ResolveSegments({FromInput(Placement::kEnclave), segment}).ok());
  }
}

TEST_F(PlanTest, BlindedSegmentsRevealNothing) {
  const ResolvedPlan plan = ResolveSegments({FromInput(Placement::kBlinded)}).value();
  EXPECT_FALSE(plan.result_opened);
  EXPECT_THAT(Summarize(plan), IsEmpty());
}

TEST_F(PlanTest, VerifiedSegmentsRevealWhatEntersThemAndTheAnswerTheyMake) {
  const ResolvedPlan plan =
      ResolveSegments({FromInput(Placement::kVerified), From("pool", Placement::kBlinded)}).value();
  EXPECT_FALSE(plan.result_opened);
  const std::vector<OpenedSegment> opened = Summarize(plan);
  ASSERT_EQ(opened.size(), 1U);
  EXPECT_EQ(opened[0].revealed.at(0).name, "input");
  EXPECT_THAT(opened[0].operators, ElementsAre("alice", "bob"));
  EXPECT_FALSE(opened[0].result_opened);
  const ResolvedPlan whole = ResolveSegments({FromInput(Placement::kVerified)}).value();
  EXPECT_TRUE(whole.result_opened);
  EXPECT_TRUE(Summarize(whole).at(0).result_opened);
}

TEST_F(PlanTest, DefaultPolicyMasksAndChecksFromInputToOutput) {
  const PartitionPolicy policy = DefaultPolicy("small");
  const absl::StatusOr<ResolvedPlan> plan = Resolve(policy, graph_, accelerators_);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->model, "small");
  ASSERT_EQ(plan->segments.size(), 1U);
  EXPECT_EQ(plan->segments[0].place, Placement::kBlinded);
  EXPECT_TRUE(plan->segments[0].verify);
  EXPECT_FALSE(plan->result_opened);
}

TEST_F(PlanTest, MaskingSettingsWithoutABlindedSegmentAreFine) {
  PartitionPolicy policy = PolicyOf({FromInput(Placement::kEnclave), From("fc", Placement::kVerified)});
  policy.masking.source = MaskSource::kShares;
  EXPECT_TRUE(Resolve(policy, graph_, accelerators_).ok());
}

TEST_F(PlanTest, NeighboursInInt8AreOneRegion) {
  SegmentPolicy int8 = After("block1_relu1", Placement::kEnclave);
  int8.precision = Precision::kInt8;
  const ResolvedPlan plan = ResolveSegments({FromInput(Placement::kEnclave), From("stem_relu", Placement::kEnclave),
                                             From("block1_conv1", Placement::kBlinded), int8,
                                             From("pool", Placement::kOpen), From("fc", Placement::kVerified)})
                                .value();
  EXPECT_THAT(RegionsOf(plan), ElementsAre(Region{0, 1, false}, Region{1, 2, false}, Region{2, 4, true},
                                           Region{4, 5, false}, Region{5, 6, true}));
}

TEST_F(PlanTest, PoolsShareTheBudgetOfThePolicy) {
  ResolvedPlan plan = ResolveSegments({FromInput(Placement::kBlinded), From("block1_conv1", Placement::kOpen),
                                       From("pool", Placement::kVerified), From("fc", Placement::kBlinded)})
                          .value();
  plan.masking.pool_bytes = 1000;
  EXPECT_EQ(PoolBytesEach(plan), 500U) << "one region before the open segment, one after it";
  plan = ResolveSegments({FromInput(Placement::kEnclave)}).value();
  plan.masking.pool_bytes = 1000;
  EXPECT_EQ(PoolBytesEach(plan), 1000U);
}

TEST_F(PlanTest, WhatCrossesInsideARegionIsAsAnywhere) {
  const ResolvedPlan plan =
      ResolveSegments({FromInput(Placement::kBlinded), From("block1_conv2", Placement::kVerified)}).value();
  ASSERT_EQ(plan.segments[1].inputs.size(), 2U);
  EXPECT_EQ(plan.segments[1].inputs[0].name, "stem_relu_out");
  EXPECT_EQ(plan.segments[1].inputs[0].type, DataType::kFloat32);
}

TEST_F(PlanTest, RangesAreNeededWhereASegmentIsInt8) {
  EXPECT_FALSE(NeedsRanges(PolicyOf({FromInput(Placement::kEnclave), From("fc", Placement::kOpen)})));
  EXPECT_TRUE(NeedsRanges(PolicyOf({FromInput(Placement::kEnclave), From("fc", Placement::kBlinded)})));
  EXPECT_TRUE(NeedsRanges(PolicyOf({FromInput(Placement::kVerified)})));
  SegmentPolicy int8 = FromInput(Placement::kEnclave);
  int8.precision = Precision::kInt8;
  EXPECT_TRUE(NeedsRanges(PolicyOf({int8})));
}

TEST_F(PlanTest, DigestIsThatOfTheCanonicalEncoding) {
  const ResolvedPlan plan = ResolveSegments({FromInput(Placement::kOpen)}).value();
  EXPECT_EQ(plan.digest, digest::Sha256(CanonicalEncoding(plan)));
}

class CanonicalEncodingTest : public PlanTest {
 protected:
  const ResolvedPlan plan_ =
      ResolveSegments({FromInput(Placement::kEnclave), From("block1_conv2", Placement::kOpen)}).value();
};

TEST_F(CanonicalEncodingTest, EveryFieldThatMattersChangesIt) {
  const std::vector<std::function<void(ResolvedPlan&)>> changes = {
      [](ResolvedPlan& p) { p.model = "other"; },
      [](ResolvedPlan& p) { p.segments[0].place = Placement::kBlinded; },
      [](ResolvedPlan& p) { p.segments[0].place = Placement::kVerified; },
      [](ResolvedPlan& p) { p.segments[0].precision = Precision::kInt8; },
      [](ResolvedPlan& p) { p.segments[0].verify = true; },
      [](ResolvedPlan& p) { p.segments[0].confidential = true; },
      [](ResolvedPlan& p) { p.segments[1].first_node_name = "n"; },
      [](ResolvedPlan& p) { p.segments[1].last_node_name = "n"; },
      [](ResolvedPlan& p) { p.segments[1].accelerators.pop_back(); },
      [](ResolvedPlan& p) { p.segments[1].accelerators[0].operator_name = "mallory"; },
      [](ResolvedPlan& p) { p.segments[1].accelerators[0].public_key = ToBytes("key m"); },
      [](ResolvedPlan& p) { p.segments[1].inputs.pop_back(); },
      [](ResolvedPlan& p) { std::swap(p.segments[1].inputs[0], p.segments[1].inputs[1]); },
      [](ResolvedPlan& p) { p.segments[1].inputs[0].name = "t"; },
      [](ResolvedPlan& p) { p.segments[1].inputs[0].type = DataType::kInt8; },
      [](ResolvedPlan& p) {
        p.segments[1].inputs[0].shape = Shape({1, 4, 64});
      },
      [](ResolvedPlan& p) { p.segments[1].outputs[0].name = "t"; },
      [](ResolvedPlan& p) {
        p.segments[1].outputs[0].shape = Shape({1, 5});
      },
      [](ResolvedPlan& p) { p.segments.pop_back(); },
      [](ResolvedPlan& p) { p.masking.source = MaskSource::kShares; },
      [](ResolvedPlan& p) { p.result_opened = false; },
  };
  std::set<Bytes> encodings = {CanonicalEncoding(plan_)};
  for (size_t i = 0; i < changes.size(); ++i) {
    ResolvedPlan changed = plan_;
    changes[i](changed);
    EXPECT_TRUE(encodings.insert(CanonicalEncoding(changed)).second) << "change " << i;
  }
}

TEST_F(CanonicalEncodingTest, AcceleratorNamesOrderAndPoolSizesDoNotChangeIt) {
  const std::vector<std::function<void(ResolvedPlan&)>> changes = {
      [](ResolvedPlan& p) { p.segments[1].accelerators[0].name = "renamed"; },
      [](ResolvedPlan& p) { p.segments[1].accelerators[0].address = "elsewhere:1"; },
      [](ResolvedPlan& p) { p.segments[1].accelerators[0].link = LinkSecurity::kMutualTls; },
      [](ResolvedPlan& p) { std::swap(p.segments[1].accelerators[0], p.segments[1].accelerators[1]); },
      [](ResolvedPlan& p) { p.segments[1].accelerators.push_back(p.segments[1].accelerators[0]); },
      [](ResolvedPlan& p) { p.masking.pool_requests = 1; },
      [](ResolvedPlan& p) { p.masking.pool_bytes = 1; },
      [](ResolvedPlan& p) { p.masking.on_empty = OnPoolEmpty::kReject; },
      [](ResolvedPlan& p) { p.digest.fill(0); },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    ResolvedPlan changed = plan_;
    changes[i](changed);
    EXPECT_EQ(CanonicalEncoding(changed), CanonicalEncoding(plan_)) << "change " << i;
  }
}

TEST_F(CanonicalEncodingTest, TextCannotMoveFromOneFieldToTheNext) {
  ResolvedPlan a = plan_;
  ResolvedPlan b = plan_;
  a.segments[1].first_node_name = "ab";
  a.segments[1].last_node_name = "c";
  b.segments[1].first_node_name = "a";
  b.segments[1].last_node_name = "bc";
  EXPECT_NE(CanonicalEncoding(a), CanonicalEncoding(b));
}

}  // namespace
}  // namespace shoji::partition
