// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The built-in model in int8 under many placements, with accelerators that obey, lie, vanish and stall.
#include "enclave_worker/core/quantized_stage.h"

#include <array>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/support/fake_clock.h"
#include "tests/support/process.h"
#include "tests/unit/enclave_worker/core/quantized_stage_fixture.h"

namespace shoji::enclave {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::InProcessAccelerator;

using QuantizedStageTest = QuantizedStageFixture;

TEST_F(QuantizedStageTest, EveryPlacementGivesTheSameBits) {
  const Bytes expected = Expected(11);
  const ModelContext context = Context();
  const std::string mixed =
      "segments:\n"
      "  - {from: input, place: verified}\n"
      "  - {after: block1_relu2, place: enclave, precision: int8}\n"
      "  - {after: block2_conv1, place: blinded, accelerators: [acc1]}\n"
      "  - {from: fc, place: enclave, precision: int8}\n";
  for (const std::string& policy :
       {kBlinded, kVerified, kShares, mixed, kBlinded + "masking: {pool: {on_empty: wait}}\n",
        std::string("segments: [{from: input, place: blinded, verify: false}]\n")}) {
    const auto model = Load(policy, context);
    ASSERT_NE(model, nullptr);
    const size_t before = NumExecutions();
    const auto answer = Answer(*model, 11);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, expected) << policy;
    if (policy.find("on_empty") != std::string::npos || policy.find("blinded") == std::string::npos) {
      EXPECT_GT(NumExecutions(), before) << "an accelerator must have worked under " << policy;
    }
  }
  EXPECT_EQ(NumEvents(EnclaveEventKind::kCheckFailed), 0U);
}

TEST_F(QuantizedStageTest, SeveralThreadsInsideOneRequestGiveTheSameBits) {
  const Bytes expected = Expected(5);
  const ModelContext context = Context(3);
  for (const std::string& policy : {kVerified, kBlinded + "masking: {pool: {on_empty: wait}}\n"}) {
    const auto model = Load(policy, context);
    const auto answer = Answer(*model, 5);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(*answer, expected);
  }
}

TEST_F(QuantizedStageTest, ALiarChangesNoAnswerAndIsQuarantined) {
  const Bytes expected = Expected(3);
  for (const std::string& policy : {kVerified, kBlinded + "masking: {pool: {on_empty: wait}}\n"}) {
    quarantine_.ReleaseAll();
    const ModelContext context = Context();
    const auto model = Load(policy, context);
    const size_t failed_before = NumEvents(EnclaveEventKind::kCheckFailed);
    for (InProcessAccelerator* accelerator : accelerators_) {
      accelerator->set_tamper([](const Tensor&, Tensor& output) {
        output.mutable_bytes()[5] ^= 1;
        return absl::OkStatus();
      });
    }
    const auto answer = Answer(*model, 3);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(*answer, expected);
    EXPECT_EQ(NumEvents(EnclaveEventKind::kCheckFailed) - failed_before, 3U) << "each of three lies once";
    EXPECT_EQ(quarantine_.num_held(), 3U);
  }
}

TEST_F(QuantizedStageTest, WithSharesOnlyTheLiarIsQuarantined) {
  const Bytes expected = Expected(3);
  for (const size_t liar : {size_t{0}, size_t{1}}) {
    quarantine_.ReleaseAll();
    const ModelContext context = Context();
    const auto model = Load(kShares, context);
    accelerators_[liar]->set_tamper([](const Tensor&, Tensor& output) {
      output.mutable_bytes()[0] += 1;
      return absl::OkStatus();
    });
    const auto answer = Answer(*model, 3);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(*answer, expected);
    EXPECT_TRUE(quarantine_.Holds(*accelerators_[liar]));
    EXPECT_FALSE(quarantine_.Holds(*accelerators_[1 - liar]));
    accelerators_[liar]->set_tamper(nullptr);
  }
}

TEST_F(QuantizedStageTest, WithSharesNoOperatorEverSeesBothSharesOfALayer) {
  // What each operator was sent, by layer: the masked and the random share of one layer differ in every byte but by
  // chance, so an operator that is sent two different messages of one shape within a request has seen both.
  absl::Mutex mu;
  std::map<std::string, std::map<std::string, std::set<Bytes>>> seen;  // operator, shape -> messages
  for (size_t i = 0; i < 3; ++i) {
    accelerators_[i]->set_tamper([&, i](const Tensor& input, Tensor& output) {
      const absl::MutexLock lock(&mu);
      seen[i == 0 ? "alice" : "bob"][input.shape().ToString() + output.shape().ToString()].insert(
          Bytes(input.bytes().begin(), input.bytes().end()));
      // Fail-over within bob: his first accelerator is lost each time.
      return i == 1 ? absl::UnavailableError("lost") : absl::OkStatus();
    });
  }
  const ModelContext context = Context();
  // One layer only, so that one shape is one layer.
  const auto model = Load(
      "segments:\n  - {from: input, place: enclave, precision: int8}\n  - {from: fc, place: blinded}\n"
      "masking: {source: shares}\n",
      context);
  ASSERT_NE(model, nullptr);
  ASSERT_TRUE(Answer(*model, 1).ok());
  ASSERT_EQ(seen.size(), 2U);
  for (const auto& [name, shapes] : seen) {
    for (const auto& [shape, messages] : shapes) {
      EXPECT_EQ(messages.size(), 1U) << name << " saw several messages for " << shape;
    }
  }
}

TEST_F(QuantizedStageTest, ALostAcceleratorGetsTheRequestsSameMaskedMessageSentToAnother) {
  const Bytes expected = Expected(8);
  absl::Mutex mu;
  std::map<std::string, std::vector<Bytes>> sent;  // by shape of a layer that occurs once
  for (size_t i = 0; i < 3; ++i) {
    accelerators_[i]->set_tamper([&, i](const Tensor& input, Tensor&) {
      const absl::MutexLock lock(&mu);
      sent[input.shape().ToString()].emplace_back(input.bytes().begin(), input.bytes().end());
      return i < 2 ? absl::UnavailableError("lost") : absl::OkStatus();
    });
  }
  const ModelContext context = Context();
  const auto model = Load(
      "segments:\n  - {from: input, place: enclave, precision: int8}\n  - {from: fc, place: blinded}\n"
      "masking: {pool: {on_empty: wait}}\n",
      context);
  const auto answer = Answer(*model, 8);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(*answer, expected);
  ASSERT_EQ(sent.size(), 1U);
  const std::vector<Bytes>& messages = sent.begin()->second;
  ASSERT_GE(messages.size(), 3U);
  for (const Bytes& message : messages) {
    EXPECT_EQ(message, messages[0]);
  }
}

TEST_F(QuantizedStageTest, WithoutAnyAcceleratorTheEnclaveComputes) {
  const Bytes expected = Expected(2);
  const ModelContext context = Context();
  for (const std::string& policy : {kBlinded, kVerified, kShares}) {
    const auto model = Load(policy, context);
    for (InProcessAccelerator* accelerator : accelerators_) {
      accelerator->set_serving(false);
    }
    const auto answer = Answer(*model, 2);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, expected);
    for (InProcessAccelerator* accelerator : accelerators_) {
      accelerator->set_serving(true);
    }
  }
}

TEST_F(QuantizedStageTest, MaskedMessagesOfTwoRunsOfOneInputShareNothing) {
  // By operator: between the two shares of one layer the upper limbs agree wherever no carry reaches them.
  absl::Mutex mu;
  std::array<std::vector<Bytes>, 2> messages;
  for (size_t i = 0; i < accelerators_.size(); ++i) {
    accelerators_[i]->set_tamper([&, i](const Tensor& input, Tensor&) {
      const absl::MutexLock lock(&mu);
      messages[i == 0 ? 0 : 1].emplace_back(input.bytes().begin(), input.bytes().end());
      return absl::OkStatus();
    });
  }
  const ModelContext context = Context();
  for (const std::string& policy : {kBlinded + "masking: {pool: {on_empty: wait}}\n", kShares}) {
    messages = {};
    const auto model = Load(policy, context);
    ASSERT_TRUE(Answer(*model, 1).ok());
    ASSERT_TRUE(Answer(*model, 1).ok());
    size_t num_pieces = 0;
    for (const std::vector<Bytes>& of_operator : messages) {
      std::set<Bytes> pieces;
      for (const Bytes& message : of_operator) {
        for (size_t at = 0; at + 64 <= message.size(); at += 64) {
          const ByteSpan piece = ByteSpan(message).subspan(at, 64);
          ASSERT_TRUE(pieces.insert(Bytes(piece.begin(), piece.end())).second) << policy;
          ++num_pieces;
        }
      }
    }
    EXPECT_GT(num_pieces, 1000U);
  }
}

TEST_F(QuantizedStageTest, AnEmptyPoolFollowsThePolicy) {
  PadFiller no_filler(0);
  const ModelContext context = ContextWith(no_filler);
  const auto computed = Answer(*Load(kBlinded, context), 4);
  ASSERT_TRUE(computed.ok());
  EXPECT_EQ(*computed, Expected(4));
  EXPECT_EQ(NumExecutions(), 0U) << "nothing may go out without a pad";
  EXPECT_EQ(NumEvents(EnclaveEventKind::kPoolEmpty), 1U);
  EXPECT_EQ(ReasonOf(Answer(*Load(kBlinded + "masking: {pool: {on_empty: reject}}\n", context), 4).status()),
            Reason::kOverloaded);
  EXPECT_EQ(
      ReasonOf(Answer(*Load(kBlinded + "masking: {pool: {on_empty: wait}}\n", context), 4, std::chrono::seconds(0))
                   .status()),
      Reason::kDeadline);
  EXPECT_EQ(NumExecutions(), 0U);
}

TEST_F(QuantizedStageTest, RequestsInParallelAllGetTheirOwnAnswers) {
  std::vector<Bytes> expected;
  for (uint32_t seed = 0; seed < 4; ++seed) {
    expected.push_back(Expected(seed));
  }
  const ModelContext context = Context();
  const auto model = Load(kBlinded + "masking: {pool: {on_empty: wait}}\n", context);
  std::vector<std::jthread> threads;
  for (uint32_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      for (int i = 0; i < 5; ++i) {
        const auto answer = Answer(*model, seed);
        ASSERT_TRUE(answer.ok());
        EXPECT_EQ(*answer, expected[seed]);
      }
    });
  }
}

TEST_F(QuantizedStageTest, APoolTooSmallForOnePadOrAMissingRangeIsRefusedAtLoad) {
  const ModelContext context = Context();
  const auto policy = policy_file::ParsePolicy("model: m\n" + kBlinded + "masking: {pool: {memory: 1KiB}}\n", "policy");
  ASSERT_TRUE(policy.ok()) << policy.status();
  ModelSource source;
  source.name = "m";
  source.model.graph = graph::ImportOnnx(*onnx_).value();
  source.policy = *policy;
  source.ranges = *ranges_;
  EXPECT_THAT(std::string(Model::Create(source, context).status().message()), HasSubstr("not even one pad"));
  source.ranges.reset();
  EXPECT_THAT(std::string(Model::Create(source, context).status().message()), HasSubstr("shoji-model calibrate"));
  source.ranges = quantization::ActivationRanges();
  EXPECT_FALSE(Model::Create(source, context).ok());
}

TEST_F(QuantizedStageTest, RegistersEachLayerAndFreesItWithTheModel) {
  const ModelContext context = Context();
  {
    const auto model = Load(kBlinded, context);
    EXPECT_GT(accelerators_[0]->num_registered(), 5U);
    EXPECT_EQ(model->NotReadyBecause(), "");
  }
  EXPECT_EQ(accelerators_[0]->num_registered(), 0U);
}

}  // namespace
}  // namespace shoji::enclave
