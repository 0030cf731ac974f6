// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/result_rule.h"

#include <string>

#include <gtest/gtest.h>

#include "shoji/v1/sealed_model.pb.h"

namespace shoji::attest {
namespace {

TEST(ResultRuleTest, ReadsWhatItWrites) {
  for (const std::string text : {"scores", "rounded:0", "rounded:9", "top-k:1", "top-k:4294967295"}) {
    const absl::StatusOr<ResultRule> rule = ResultRule::Parse(text);
    ASSERT_TRUE(rule.ok()) << text << ": " << rule.status();
    EXPECT_EQ(rule->ToString(), text);
    v1::ResultRule proto;
    ToProto(*rule, proto);
    EXPECT_EQ(FromProto(proto).value(), *rule);
  }
}

TEST(ResultRuleTest, RefusesEveryOtherText) {
  for (const std::string text : {"", "Scores", "scores:1", "rounded", "rounded:", "rounded:-1", "rounded:10", "rounded:2 ",
                                 "rounded:0x2", "top-k", "top-k:", "top-k:0", "top-k:4294967296", "top-5", "logits"}) {
    EXPECT_EQ(ResultRule::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ResultRuleTest, RefusesAFormThatNobodyKnowsOrANumberThatItCannotHave) {
  v1::ResultRule proto;
  EXPECT_FALSE(FromProto(proto).ok()) << "unspecified must not mean scores";
  proto.set_form(static_cast<v1::ResultRule::Form>(4));
  EXPECT_FALSE(FromProto(proto).ok());
  proto.set_form(v1::ResultRule::TOP_K);
  EXPECT_FALSE(FromProto(proto).ok()) << "a k of 0";
  proto.set_form(v1::ResultRule::SCORES);
  EXPECT_TRUE(FromProto(proto).ok());
  proto.set_parameter(1);
  EXPECT_FALSE(FromProto(proto).ok());
}

}  // namespace
}  // namespace shoji::attest
