// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/partition/shares.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/onnx_import.h"
#include "tests/support/onnx_builder.h"

namespace shoji::partition {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

AcceleratorIdentity Holder(const std::string& name, const std::string& operator_name) {
  return {.name = name,
          .operator_name = operator_name,
          .public_key = ToBytes("key of " + operator_name),
          .address = name + ".example:9100",
          .link = LinkSecurity::kMutualTls};
}

class SharesTest : public ::testing::Test {
 protected:
  // The error of what the fixture holds; empty: accepted.
  std::string Error() const { return std::string(CheckShareHolders(holders_, "segment 1").message()); }

  std::vector<AcceleratorIdentity> holders_ = {Holder("gpu0", "alice"), Holder("gpu1", "bob")};
};

TEST_F(SharesTest, TwoOperatorsWithKeysAddressesAndMutualTlsAreAccepted) { EXPECT_EQ(Error(), ""); }

TEST_F(SharesTest, OneOperatorMayRunSeveralAcceleratorsWithOneKeyOrAtOneAddress) {
  holders_.push_back(Holder("gpu2", "alice"));
  holders_.push_back(Holder("gpu3", "bob"));
  holders_[3].address = holders_[1].address;
  EXPECT_EQ(Error(), "");
}

TEST_F(SharesTest, OneOperatorAloneIsRefused) {
  holders_[1] = Holder("gpu1", "alice");
  EXPECT_THAT(Error(), AllOf(StartsWith("segment 1: `source: shares` needs accelerators of at least two operators"),
                             HasSubstr("accelerator `gpu0` of operator `alice` and more of it")));
  holders_.pop_back();
  EXPECT_THAT(Error(), HasSubstr("accelerator `gpu0` of operator `alice`. Add one of another operator"));
}

TEST_F(SharesTest, TwoNamesForOneKeyAreRefused) {
  holders_[1].public_key = holders_[0].public_key;
  EXPECT_THAT(Error(), HasSubstr("accelerator `gpu0` of operator `alice` and accelerator `gpu1` of operator `bob` have "
                                 "the same public key, so one party could see both shares"));
}

TEST_F(SharesTest, TwoNamesForOneAddressAreRefused) {
  holders_[1].address = "GPU0.Example:9100";
  EXPECT_THAT(Error(), HasSubstr("accelerator `gpu0` of operator `alice` and accelerator `gpu1` of operator `bob` have "
                                 "the same address"));
}

TEST_F(SharesTest, AThirdAcceleratorThatLinksTwoOperatorsIsRefused) {
  holders_.push_back(Holder("gpu2", "carol"));
  EXPECT_EQ(Error(), "");
  holders_[2].public_key = holders_[1].public_key;
  EXPECT_THAT(Error(), HasSubstr("`gpu1` of operator `bob` and accelerator `gpu2` of operator `carol`"));
}

TEST_F(SharesTest, AcceleratorWithoutAnOperatorIsRefused) {
  holders_[1].operator_name.clear();
  EXPECT_THAT(Error(), HasSubstr("accelerator `gpu1` has no operator"));
}

TEST_F(SharesTest, AcceleratorWithoutAPinnedKeyIsRefused) {
  holders_[0].public_key.clear();
  EXPECT_THAT(Error(), AllOf(HasSubstr("accelerator `gpu0` of operator `alice` has no pinned key"),
                             HasSubstr("`tls: {server_key: FILE}`")));
}

TEST_F(SharesTest, LinkThatIsNotMutualTlsIsRefused) {
  holders_[1].link = LinkSecurity::kOther;
  EXPECT_THAT(Error(), HasSubstr("the link to accelerator `gpu1` of operator `bob` could be read on the way: each link "
                                 "must be mutually authenticated TLS over TCP that ends inside the enclave"));
}

TEST_F(SharesTest, EveryBlindedSegmentOfAPolicyIsChecked) {
  const graph::Graph graph = graph::ImportOnnx(shoji::testing::SmallResNet()).value();
  PartitionPolicy policy;
  policy.model = "small";
  policy.masking.source = MaskSource::kShares;
  policy.segments.resize(3);
  policy.segments[0].place = Placement::kBlinded;
  policy.segments[1].start = {StartPoint::Kind::kAt, "pool"};
  policy.segments[1].place = Placement::kVerified;
  policy.segments[1].accelerators = {"gpu0"};
  policy.segments[2].start = {StartPoint::Kind::kAt, "fc"};
  policy.segments[2].place = Placement::kBlinded;
  EXPECT_TRUE(Resolve(policy, graph, holders_).ok());
  policy.segments[2].accelerators = {"gpu0"};
  const absl::Status refused = Resolve(policy, graph, holders_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()),
              StartsWith("segment 3 (from `fc`): `source: shares` needs accelerators of at least two operators"));
  policy.masking.source = MaskSource::kPads;
  EXPECT_TRUE(Resolve(policy, graph, holders_).ok());
}

}  // namespace
}  // namespace shoji::partition
