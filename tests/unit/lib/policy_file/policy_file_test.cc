// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/policy_file/policy_file.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::policy_file {
namespace {

using partition::MaskSource;
using partition::OnPoolEmpty;
using partition::PartitionPolicy;
using partition::Placement;
using partition::Precision;
using partition::StartPoint;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

void ExpectRefused(const std::string& text, const std::string& where, const std::string& what) {
  const absl::StatusOr<PartitionPolicy> policy = ParsePolicy(text, "policy.yaml");
  ASSERT_FALSE(policy.ok());
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument) << policy.status();
  EXPECT_THAT(std::string(policy.status().message()), AllOf(StartsWith("policy.yaml:" + where), HasSubstr(what)));
}

TEST(PolicyFileTest, ReadsEveryKey) {
  const absl::StatusOr<PartitionPolicy> policy = ParsePolicy(R"(
model: vgg16
segments:
  - {from: input,        place: blinded, verify: true,  accelerators: [gpu0]}
  - {from: block3_conv1, place: open,    accelerators: [gpu0, gpu1], precision: int8}
  - {after: pool5,       place: verified}
  - {from: fc8,          place: enclave, confidential: true}
masking:
  source: shares
  pool: {requests: 12, memory: 2GiB, on_empty: reject}
)",
                                                             "policy.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->model, "vgg16");
  ASSERT_EQ(policy->segments.size(), 4U);
  EXPECT_EQ(policy->segments[0].start.kind, StartPoint::Kind::kInput);
  EXPECT_EQ(policy->segments[0].place, Placement::kBlinded);
  EXPECT_EQ(policy->segments[0].verify, true);
  EXPECT_EQ(policy->segments[1].start.kind, StartPoint::Kind::kAt);
  EXPECT_EQ(policy->segments[1].start.node, "block3_conv1");
  EXPECT_THAT(policy->segments[1].accelerators, ElementsAre("gpu0", "gpu1"));
  EXPECT_EQ(policy->segments[1].precision, Precision::kInt8);
  EXPECT_EQ(policy->segments[2].start.kind, StartPoint::Kind::kAfter);
  EXPECT_EQ(policy->segments[2].start.node, "pool5");
  EXPECT_FALSE(policy->segments[2].verify.has_value());
  EXPECT_FALSE(policy->segments[2].precision.has_value());
  EXPECT_TRUE(policy->segments[3].confidential);
  EXPECT_EQ(policy->masking.source, MaskSource::kShares);
  EXPECT_EQ(policy->masking.pool_requests, 12U);
  EXPECT_EQ(policy->masking.pool_bytes, uint64_t{2} << 30);
  EXPECT_EQ(policy->masking.on_empty, OnPoolEmpty::kReject);
}

TEST(PolicyFileTest, MaskingHasDefaults) {
  const absl::StatusOr<PartitionPolicy> policy =
      ParsePolicy("model: m\nsegments: [{from: input, place: enclave}]\n", "policy.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->masking.source, MaskSource::kPads);
  EXPECT_EQ(policy->masking.pool_requests, 64U);
  EXPECT_EQ(policy->masking.on_empty, OnPoolEmpty::kEnclave);
}

TEST(PolicyFileTest, UnknownKeysNameFileLineAndNearKey) {
  ExpectRefused("model: m\nsegment: []\n", "2", "segments");
  ExpectRefused("model: m\nsegments:\n  - from: input\n    plaec: open\n", "4", "place");
  ExpectRefused("model: m\nsegments: [{from: input, place: open}]\nmasking: {pool: {request: 3}}\n", "3", "requests");
}

TEST(PolicyFileTest, WrongTypesAndWordsAreRefused) {
  ExpectRefused("model: m\nsegments:\n  - {from: input, place: opne}\n", "3", "open");
  ExpectRefused("model: m\nsegments:\n  - {from: input, place: blinded, verify: maybe}\n", "3", "verify");
  ExpectRefused("model: m\nsegments:\n  - {from: input, place: blinded, precision: int4}\n", "3", "int8");
  ExpectRefused("model: m\nsegments: [{from: input, place: open}]\nmasking: {source: share}\n", "3", "shares");
  ExpectRefused("model: [a]\nsegments:\n  - {from: input, place: open}\n", "1", "model");
  ExpectRefused("model: m\nsegments: open\n", "2", "segments");
  ExpectRefused("model: m\nsegments:\n  - {from: input, place: open, accelerators: gpu0}\n", "3", "accelerators");
  ExpectRefused("model: m\nsegments: [{from: input, place: open}]\nmasking: {pool: {requests: 0}}\n", "3", "requests");
  ExpectRefused("model: m\nsegments: [{from: input, place: open}]\nmasking: {pool: {memory: 4}}\n", "3", "memory");
}

TEST(PolicyFileTest, MissingKeysAreRefused) {
  ExpectRefused("segments: [{from: input, place: open}]\n", "1", "model");
  ExpectRefused("model: m\n", "1", "segments");
  ExpectRefused("model: m\nsegments: [{from: input}]\n", "2", "place");
  ExpectRefused("model: m\nsegments: []\n", "2", "needs from 1 to 1000 segments");
}

TEST(PolicyFileTest, SegmentStartsExactlyOneWay) {
  ExpectRefused("model: m\nsegments: [{place: open}]\n", "2", "exactly one of `from` and `after`");
  ExpectRefused("model: m\nsegments: [{from: input, after: x, place: open}]\n", "2", "exactly one of");
}

TEST(PolicyFileTest, NodesMayBeCountedOrListed) {
  const absl::StatusOr<PartitionPolicy> policy = ParsePolicy(R"(
model: "*"
segments:
  - {from: input, place: enclave}
  - {after: {op: MaxPool, nth: 2}, place: open}
  - {from: [conv_a, conv_b], place: enclave}
  - {from: {layer: -1}, place: open}
)",
                                                             "policy.yaml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->model, partition::kAnyModel);
  EXPECT_EQ(policy->segments[1].start.kind, StartPoint::Kind::kAfter);
  EXPECT_EQ(policy->segments[1].start.ordinal, (partition::NodeOrdinal{"MaxPool", 2}));
  EXPECT_EQ(policy->segments[2].start.kind, StartPoint::Kind::kAt);
  EXPECT_THAT(policy->segments[2].start.set, ElementsAre("conv_a", "conv_b"));
  EXPECT_EQ(policy->segments[3].start.kind, StartPoint::Kind::kAt);
  EXPECT_EQ(policy->segments[3].start.ordinal, (partition::NodeOrdinal{"", -1}));
}

TEST(PolicyFileTest, NodesThatAreCountedOrListedWrongAreRefused) {
  const auto refused = [](const std::string& start, const std::string& what) {
    ExpectRefused("model: m\nsegments: [{from: input, place: open},\n  {" + start + ", place: open}]\n", "3", what);
  };
  refused("from: {op: MaxPool}", "counted with `op` and `nth`, or with `layer` alone");
  refused("from: {nth: 1}", "counted with `op` and `nth`");
  refused("from: {op: MaxPool, nth: 1, layer: 1}", "or with `layer` alone");
  refused("from: {op: MaxPool, nth: 0}", "the first is 1, the last is -1");
  refused("after: {layer: 0}", "the first is 1, the last is -1");
  refused("after: {layer: last}", "layer");
  refused("after: {lyaer: 1}", "layer");
  refused("after: {op: [MaxPool], nth: 1}", "op");
  refused("from: []", "needs from 1 to 64 nodes");
  refused("from: [a, {layer: 1}]", "from");
}

TEST(PolicyFileTest, EmptyAcceleratorListIsRefused) {
  ExpectRefused("model: m\nsegments: [{from: input, place: open, accelerators: []}]\n", "2", "leave the key out");
}

TEST(PolicyFileTest, MissingFileIsNamed) {
  const absl::StatusOr<PartitionPolicy> policy = LoadPolicy("/nonexistent/policy.yaml");
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(policy.status().message()), HasSubstr("/nonexistent/policy.yaml"));
}

}  // namespace
}  // namespace shoji::policy_file
