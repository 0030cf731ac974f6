// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Requests that go through a model together, under every placement: each has the answer that it has alone.
#include <algorithm>
#include <atomic>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/unit/enclave_worker/core/quantized_stage_fixture.h"

namespace shoji::enclave {
namespace {

using testing::InProcessAccelerator;

const std::string kWait = "masking: {pool: {on_empty: wait}}\n";
const std::string kFloat32 = "segments: [{from: input, place: enclave}]\n";
const std::string kOpen = "segments: [{from: input, place: enclave}, {after: block1_relu2, place: open}]\n";
const std::string kMixed =
    "segments:\n"
    "  - {from: input, place: verified}\n"
    "  - {after: block1_relu2, place: enclave, precision: int8}\n"
    "  - {after: block2_conv1, place: blinded, accelerators: [acc1]}\n"
    "  - {from: fc, place: open}\n" +
    kWait;

class BatchStageTest : public QuantizedStageFixture {
 protected:
  // The answers to RandomInput(seed) for 0, 1, ..., together.
  std::vector<absl::StatusOr<Bytes>> Answers(const Model& model, size_t count,
                                             const std::function<void(std::vector<RunContext>&)>& change = nullptr) {
    std::vector<SecretTensors> live(count);
    std::vector<RunContext> runs(count, RunContext(clock_.SteadyNow() + std::chrono::hours(1)));
    if (change) {
      change(runs);
    }
    std::vector<BatchItem> items;
    for (size_t i = 0; i < count; ++i) {
      live[i].Put(model.manifest().inputs[0].name, RandomInput(static_cast<uint32_t>(i)));
      items.push_back({live[i], runs[i], absl::OkStatus()});
    }
    model.RunBatch(items);
    std::vector<absl::StatusOr<Bytes>> answers;
    for (const BatchItem& item : items) {
      if (item.status.ok()) {
        const ByteSpan out = item.live.Find(model.manifest().outputs[0].name)->bytes();
        answers.emplace_back(Bytes(out.begin(), out.end()));
      } else {
        answers.emplace_back(item.status);
      }
    }
    return answers;
  }
};

TEST_F(BatchStageTest, EveryPlacementGivesEachRequestTheBitsThatItHasAlone) {
  const ModelContext context = Context();
  for (const std::string& policy :
       {kEnclaveInt8, kFloat32, kOpen, kVerified, kShares, kBlinded + kWait, kBlinded, kMixed}) {
    SCOPED_TRACE(policy);
    const auto model = Load(policy, context);
    ASSERT_NE(model, nullptr);
    std::vector<Bytes> alone;
    for (uint32_t seed = 0; seed < 8; ++seed) {
      alone.push_back(Answer(*model, seed).value());
    }
    for (const size_t size : {size_t{2}, size_t{3}, size_t{8}}) {
      const auto answers = Answers(*model, size);
      for (size_t i = 0; i < size; ++i) {
        ASSERT_TRUE(answers[i].ok()) << answers[i].status();
        EXPECT_EQ(*answers[i], alone[i]) << "request " << i << " of " << size;
      }
    }
  }
  EXPECT_EQ(NumEvents(EnclaveEventKind::kCheckFailed), 0U);
  EXPECT_EQ(NumEvents(EnclaveEventKind::kOffloadFailed), 0U);
}

TEST_F(BatchStageTest, ABatchGoesToAnAcceleratorInOneExecutionALayer) {
  const ModelContext context = Context();
  for (const std::string& policy : {kVerified, kOpen}) {
    const auto model = Load(policy, context);
    const size_t before = NumExecutions();
    ASSERT_TRUE(Answer(*model, 0).ok());
    const size_t for_one = NumExecutions() - before;
    ASSERT_TRUE(Answers(*model, 4)[3].ok());
    EXPECT_EQ(NumExecutions() - before, 2 * for_one) << policy;
  }
}

TEST_F(BatchStageTest, WhatIsTooLargeForOneMessageGoesInSeveral) {
  ModelContext context = Context();
  context.max_batch_bytes = 1;
  for (const std::string& policy : {kVerified, kOpen}) {
    const auto model = Load(policy, context);
    const size_t before = NumExecutions();
    const Bytes alone = Answer(*model, 1).value();
    const size_t for_one = NumExecutions() - before;
    EXPECT_EQ(Answers(*model, 3)[1].value(), alone);
    EXPECT_EQ(NumExecutions() - before, 4 * for_one) << policy;
  }
}

TEST_F(BatchStageTest, AWrongAnswerForOneRequestIsComputedHereAndNobodyElseIsAffected) {
  const ModelContext context = Context();
  for (const std::string& policy : {kVerified, kBlinded + kWait, kShares}) {
    SCOPED_TRACE(policy);
    quarantine_.ReleaseAll();
    for (InProcessAccelerator* accelerator : accelerators_) {
      accelerator->set_tamper(nullptr);
    }
    const auto model = Load(policy, context);
    std::vector<Bytes> alone;
    for (uint32_t seed = 0; seed < 3; ++seed) {
      alone.push_back(Answer(*model, seed).value());
    }
    const uint64_t failed_before = model->counts().checks_failed;
    // The second request of the first layer, and no other.
    std::atomic<int> num_seen = 0;
    for (InProcessAccelerator* accelerator : accelerators_) {
      accelerator->set_tamper([&num_seen](const Tensor&, Tensor& output) {
        if (++num_seen == 2) {
          output.mutable_bytes()[5] ^= 1;
        }
        return absl::OkStatus();
      });
    }
    const auto answers = Answers(*model, 3);
    for (size_t i = 0; i < 3; ++i) {
      ASSERT_TRUE(answers[i].ok()) << answers[i].status();
      EXPECT_EQ(*answers[i], alone[i]) << "request " << i;
    }
    EXPECT_EQ(model->counts().checks_failed - failed_before, 1U);
    EXPECT_EQ(quarantine_.num_held(), 1U);
    for (InProcessAccelerator* accelerator : accelerators_) {
      accelerator->set_tamper(nullptr);
    }
  }
}

TEST_F(BatchStageTest, LostAcceleratorsCostABatchNoAnswer) {
  const ModelContext context = Context();
  const auto model = Load(kVerified, context);
  const Bytes alone = Answer(*model, 1).value();
  for (InProcessAccelerator* accelerator : accelerators_) {
    accelerator->set_serving(false);
  }
  EXPECT_EQ(Answers(*model, 3)[1].value(), alone);
}

TEST_F(BatchStageTest, APassedDeadlineFailsThatRequestAlone) {
  const ModelContext context = Context();
  for (const std::string& policy : {kEnclaveInt8, kFloat32, kOpen, kVerified, kBlinded + kWait}) {
    SCOPED_TRACE(policy);
    const auto model = Load(policy, context);
    const Bytes alone = Answer(*model, 2).value();
    const auto answers =
        Answers(*model, 3, [&](std::vector<RunContext>& runs) { runs[1].deadline = clock_.SteadyNow(); });
    EXPECT_EQ(ReasonOf(answers[1].status()), Reason::kDeadline);
    EXPECT_EQ(answers[2].value(), alone);
    EXPECT_TRUE(answers[0].ok());
  }
}

TEST_F(BatchStageTest, WhatNobodyWaitsForIsNotComputedToItsEnd) {
  const ModelContext context = Context();
  for (const std::string& policy : {kEnclaveInt8, kFloat32, kOpen, kVerified, kBlinded + kWait}) {
    SCOPED_TRACE(policy);
    const auto model = Load(policy, context);
    ASSERT_TRUE(Answer(*model, 0).ok());
    // The caller goes after some steps, or is gone already.
    for (const int num_looks : {3, 0}) {
      const size_t before = NumExecutions();
      int looks = 0;
      const auto answers = Answers(*model, 1, [&](std::vector<RunContext>& runs) {
        runs[0].is_cancelled = [&looks, num_looks] { return ++looks > num_looks; };
      });
      EXPECT_TRUE(absl::IsCancelled(answers[0].status())) << answers[0].status();
      EXPECT_LE(looks, num_looks + 2) << "and then nobody asks again";
      EXPECT_LE(NumExecutions() - before, 3U);
    }
  }
}

TEST_F(BatchStageTest, WhoWaitsForAPadIsNotWaitedForWhenHisCallerGoes) {
  PadFiller idle(0);
  ModelContext context = {.accelerators = *registry_,
                          .readiness = readiness_,
                          .slots = slots_,
                          .clock = clock_,
                          .quarantine = quarantine_,
                          .filler = idle,
                          .events = nullptr};
  const auto model = Load(kBlinded + kWait, context);
  int looks = 0;
  const auto answers = Answers(
      *model, 1, [&](std::vector<RunContext>& runs) { runs[0].is_cancelled = [&looks] { return ++looks > 2; }; });
  EXPECT_TRUE(absl::IsCancelled(answers[0].status())) << answers[0].status();
}

// A millisecond passes between two looks at it. Thread-safe.
class SteppingClock final : public Clock {
 public:
  SteadyTime SteadyNow() const override { return SteadyTime(std::chrono::hours(1)) + kStep * ++num_looks_; }
  SystemTime SystemNow() const override { return {}; }
  std::chrono::nanoseconds ThreadTime() const override { return {}; }
  static constexpr std::chrono::milliseconds kStep{1};

 private:
  mutable std::atomic<int> num_looks_ = 0;
};

TEST_F(BatchStageTest, ADeadlineThatComesUnderWayCostsNobodyElseAnAccelerator) {
  const SteppingClock clock;
  ComputeSlots slots(4, clock);
  const ModelContext context{.accelerators = *registry_,
                             .readiness = readiness_,
                             .slots = slots,
                             .clock = clock,
                             .quarantine = quarantine_,
                             .filler = filler_,
                             .events = nullptr};
  const auto model = Load(kVerified, context);
  const size_t num_layers = [&] {
    EXPECT_TRUE(Answers(*model, 3)[0].ok());
    return NumExecutions();
  }();
  uint64_t missed_before = model->counts().offloads_missed;
  size_t num_in_time = 0;
  // Whatever it is that the batch is at when it comes.
  for (int steps = 1; num_in_time == 0; ++steps) {
    ASSERT_LT(steps, 1000);
    const auto answers = Answers(*model, 3, [&](std::vector<RunContext>& runs) {
      const SteadyTime now = clock.SteadyNow();
      runs[0].deadline = now + std::chrono::hours(1);
      runs[1].deadline = now + steps * SteppingClock::kStep;
      runs[2].deadline = now + std::chrono::hours(1);
    });
    EXPECT_TRUE(answers[0].ok() && answers[2].ok());
    num_in_time += answers[1].ok() ? 1U : 0U;
    // The one that is late may have missed the layer that it was at.
    const uint64_t missed = model->counts().offloads_missed;
    EXPECT_LE(missed - missed_before, 1U) << steps << " steps";
    missed_before = missed;
  }
  EXPECT_GT(num_layers, 5U);
}

TEST_F(BatchStageTest, EveryRequestOfABatchHasAPadOfItsOwn) {
  absl::Mutex mu;
  std::set<Bytes> pieces;
  size_t num_pieces = 0;
  for (InProcessAccelerator* accelerator : accelerators_) {
    accelerator->set_tamper([&](const Tensor& input, Tensor&) {
      const absl::MutexLock lock(&mu);
      for (size_t at = 0; at + 64 <= input.size_bytes(); at += 64, ++num_pieces) {
        const ByteSpan piece = input.bytes().subspan(at, 64);
        pieces.insert(Bytes(piece.begin(), piece.end()));
      }
      return absl::OkStatus();
    });
  }
  const ModelContext context = Context();
  const auto model = Load(kBlinded + kWait, context);
  const uint64_t claimed_before = model->counts().pads_claimed;
  // The same input in each: what two of them have in common they have of their pads.
  std::vector<SecretTensors> live(4);
  std::vector<RunContext> runs(4, RunContext(clock_.SteadyNow() + std::chrono::hours(1)));
  std::vector<BatchItem> items;
  for (size_t i = 0; i < 4; ++i) {
    live[i].Put(model->manifest().inputs[0].name, RandomInput(1));
    items.push_back({live[i], runs[i], absl::OkStatus()});
  }
  model->RunBatch(items);
  EXPECT_EQ(model->counts().pads_claimed - claimed_before, 4U);
  EXPECT_GT(num_pieces, 1000U);
  EXPECT_EQ(pieces.size(), num_pieces) << "a piece of a masked message came twice";
}

TEST_F(BatchStageTest, APoolOfFewerPadsThanABatchServesItAllTheSame) {
  const ModelContext context = Context();
  const auto model = Load(kBlinded + "masking: {pool: {requests: 2, on_empty: wait}}\n", context);
  const uint64_t claimed_before = model->counts().pads_claimed;
  const Bytes alone = Answer(*model, 4).value();
  EXPECT_EQ(Answers(*model, 5)[4].value(), alone);
  EXPECT_EQ(model->counts().pads_claimed - claimed_before, 6U);
}

TEST_F(BatchStageTest, WhoFindsThePoolEmptyIsTreatedAsThePolicySaysAndTheOthersAreNot) {
  // One pad and nobody to make another.
  for (const bool rejects : {true, false}) {
    PadFiller filler(1);
    const ModelContext context = ContextWith(filler);
    const std::string on_empty = rejects ? "reject" : "enclave";
    const auto model = Load(kBlinded + "masking: {pool: {requests: 1, on_empty: " + on_empty + "}}\n", context);
    while (model->counts().pads_available != 1) {
      std::this_thread::yield();
    }
    const auto answers = Answers(*model, 2);
    ASSERT_TRUE(answers[0].ok()) << answers[0].status();
    EXPECT_EQ(*answers[0], Expected(0));
    if (rejects) {
      EXPECT_EQ(ReasonOf(answers[1].status()), Reason::kOverloaded);
    } else {
      EXPECT_EQ(answers[1].value(), Expected(1));
    }
    EXPECT_EQ(model->counts().pads_claimed, 1U);
  }
}

}  // namespace
}  // namespace shoji::enclave
