// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/accelerator_group.h"

#include <deque>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "lib/base/reason.h"
#include "tests/support/fake_clock.h"

namespace shoji::enclave {
namespace {

constexpr digest::Sha256Digest kDigest = {1, 2, 3};

std::vector<Tensor> Good() {
  std::vector<Tensor> outputs;
  outputs.push_back(Tensor::Of<float>(Shape({1}), std::vector<float>{42}));
  return outputs;
}

// Answers what it is told to, in order, then well. Thread-safe.
class ScriptedAccelerator final : public Accelerator {
 public:
  ScriptedAccelerator(std::string name, ReadinessSignal& readiness) : name_(std::move(name)), readiness_(readiness) {}

  const std::string& name() const override { return name_; }
  bool ready() const override { return Serves(kDigest); }
  bool Serves(const digest::Sha256Digest& digest) const override {
    const absl::MutexLock lock(&mu_);
    return up_ && digest == kDigest;
  }
  size_t num_in_flight() const override {
    const absl::MutexLock lock(&mu_);
    return load_;
  }
  void Register(const digest::Sha256Digest& /*digest*/, std::shared_ptr<const Bytes> /*bytes*/,
                SubModelFormat /*format*/) override {}
  void Unregister(const digest::Sha256Digest& /*digest*/) override {}

  absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& /*digest*/,
                                              std::span<const Tensor* const> inputs,
                                              const enclave::Execution& execution) override {
    const absl::MutexLock lock(&mu_);
    ++num_calls_;
    last_deadline_ = execution.deadline;
    seen_.push_back(inputs.empty() ? -1 : inputs[0]->values<int32_t>()[0]);
    if (silent_on_ != nullptr) {
      silent_on_->Advance(execution.deadline - silent_on_->SteadyNow());
      return absl::DeadlineExceededError("x");
    }
    if (script_.empty()) {
      return Good();
    }
    absl::StatusOr<std::vector<Tensor>> next = std::move(script_.front());
    script_.pop_front();
    if (loses_connection_ && absl::IsUnavailable(next.status())) {
      up_ = false;
    }
    return next;
  }

  void Say(absl::StatusOr<std::vector<Tensor>> answer) {
    const absl::MutexLock lock(&mu_);
    script_.push_back(std::move(answer));
  }
  void SetUp(bool up) {
    {
      const absl::MutexLock lock(&mu_);
      up_ = up;
    }
    readiness_.Notify();
  }
  void SetLoad(size_t load) {
    const absl::MutexLock lock(&mu_);
    load_ = load;
  }
  // Never answers: every call takes `clock` to its deadline.
  void StaySilent(testing::FakeClock& clock) {
    const absl::MutexLock lock(&mu_);
    silent_on_ = &clock;
  }
  SteadyTime last_deadline() const {
    const absl::MutexLock lock(&mu_);
    return last_deadline_;
  }
  // The first value of each call's first input; -1 for a call without inputs.
  std::vector<int32_t> seen() const {
    const absl::MutexLock lock(&mu_);
    return seen_;
  }
  void LoseConnectionWhenUnavailable() {
    const absl::MutexLock lock(&mu_);
    loses_connection_ = true;
  }
  int num_calls() const {
    const absl::MutexLock lock(&mu_);
    return num_calls_;
  }

 private:
  const std::string name_;
  ReadinessSignal& readiness_;
  mutable absl::Mutex mu_;
  bool up_ ABSL_GUARDED_BY(mu_) = true;
  bool loses_connection_ ABSL_GUARDED_BY(mu_) = false;
  size_t load_ ABSL_GUARDED_BY(mu_) = 0;
  int num_calls_ ABSL_GUARDED_BY(mu_) = 0;
  SteadyTime last_deadline_ ABSL_GUARDED_BY(mu_);
  std::vector<int32_t> seen_ ABSL_GUARDED_BY(mu_);
  testing::FakeClock* silent_on_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::deque<absl::StatusOr<std::vector<Tensor>>> script_ ABSL_GUARDED_BY(mu_);
};

class AcceleratorGroupTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::vector<Tensor>> Run(std::chrono::nanoseconds patience = std::chrono::seconds(30),
                                          std::chrono::nanoseconds timeout = std::chrono::seconds(60)) {
    AcceleratorGroup group({&a_, &b_}, readiness_, clock_, {.patience = patience});
    return group.Execute(kDigest, {}, expected_, clock_.SteadyNow() + timeout);
  }

  RealClock clock_;
  ReadinessSignal readiness_;
  ScriptedAccelerator a_{"a", readiness_};
  ScriptedAccelerator b_{"b", readiness_};
  std::vector<partition::CrossingTensor> expected_ = {{.name = "y", .type = DataType::kFloat32, .shape = Shape({1})}};
};

std::vector<Tensor> TwoAnswers(const Shape& second) {
  std::vector<Tensor> outputs = Good();
  outputs.emplace_back(DataType::kFloat32, second);
  return outputs;
}

TEST_F(AcceleratorGroupTest, ABatchMustBeAnsweredForEveryRequestInTheRightForm) {
  const AcceleratorGroup group({&a_, &b_}, readiness_, clock_, AcceleratorGroup::Options());
  b_.SetLoad(1);
  const Execution execution(clock_.SteadyNow() + std::chrono::seconds(60), "", 2);
  for (const bool too_few : {true, false}) {
    a_.Say(too_few ? Good() : TwoAnswers(Shape({2})));
    b_.Say(TwoAnswers(Shape({1})));
    const auto outputs = group.Execute(kDigest, {}, expected_, execution);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    EXPECT_EQ(outputs->size(), 2U);
  }
  EXPECT_EQ(a_.num_calls(), 2);
  EXPECT_EQ(b_.num_calls(), 2);
}

TEST_F(AcceleratorGroupTest, ChoosesTheLeastLoaded) {
  a_.SetLoad(3);
  b_.SetLoad(2);
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(a_.num_calls(), 0);
  EXPECT_EQ(b_.num_calls(), 1);
}

TEST_F(AcceleratorGroupTest, PassesOverOneThatDoesNotServeTheModel) {
  a_.SetUp(false);
  b_.SetLoad(100);
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(b_.num_calls(), 1);
}

TEST_F(AcceleratorGroupTest, EveryKindOfFailureMovesOnToTheNext) {
  for (const absl::Status& failure :
       {absl::UnavailableError("x"), absl::ResourceExhaustedError("x"), absl::InvalidArgumentError("x"),
        absl::InternalError("x"), absl::DeadlineExceededError("x")}) {
    b_.SetLoad(1);
    a_.LoseConnectionWhenUnavailable();
    a_.Say(failure);
    const int calls = b_.num_calls();
    EXPECT_TRUE(Run().ok()) << failure;
    EXPECT_EQ(b_.num_calls(), calls + 1) << failure;
    a_.SetUp(true);
  }
}

TEST_F(AcceleratorGroupTest, OutputsOfAnotherFormThanThePlansMoveOnToTheNext) {
  b_.SetLoad(1);
  std::vector<Tensor> wrong_shape;
  wrong_shape.push_back(Tensor(DataType::kFloat32, Shape({1, 1})));
  std::vector<Tensor> wrong_type;
  wrong_type.push_back(Tensor(DataType::kInt32, Shape({1})));
  std::vector<Tensor> too_many = Good();
  too_many.push_back(Tensor(DataType::kFloat32, Shape({1})));
  a_.Say(std::move(wrong_shape));
  a_.Say(std::move(wrong_type));
  a_.Say(std::move(too_many));
  a_.Say(std::vector<Tensor>());
  for (int i = 1; i <= 4; ++i) {
    const auto outputs = Run();
    ASSERT_TRUE(outputs.ok());
    EXPECT_EQ((*outputs)[0].values<float>()[0], 42);
    EXPECT_EQ(a_.num_calls(), i);
    EXPECT_EQ(b_.num_calls(), i);
  }
}

TEST_F(AcceleratorGroupTest, SaysNoAcceleratorWhenAllHaveFailed) {
  a_.Say(absl::ResourceExhaustedError("x"));
  b_.Say(absl::InvalidArgumentError("x"));
  EXPECT_EQ(ReasonOf(Run().status()), Reason::kNoAccelerator);
  EXPECT_EQ(a_.num_calls(), 1);
  EXPECT_EQ(b_.num_calls(), 1);
}

TEST_F(AcceleratorGroupTest, OneThatClaimsToBeUnavailableForeverIsTriedABoundedNumberOfTimes) {
  b_.SetUp(false);
  b_.SetLoad(1);
  for (int i = 0; i < 10; ++i) {
    a_.Say(absl::UnavailableError("x"));
  }
  EXPECT_EQ(ReasonOf(Run(std::chrono::milliseconds(10)).status()), Reason::kNoAccelerator);
  EXPECT_EQ(a_.num_calls(), 3);
}

TEST_F(AcceleratorGroupTest, WaitsForOneThatComesBack) {
  a_.SetUp(false);
  b_.SetUp(false);
  std::jthread other([this] { b_.SetUp(true); });
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(b_.num_calls(), 1);
}

TEST_F(AcceleratorGroupTest, TriesTheOnlyOneAgainWhenItIsLostAndComesBack) {
  b_.SetUp(false);
  a_.LoseConnectionWhenUnavailable();
  a_.Say(absl::UnavailableError("lost"));
  std::jthread other([this] {
    while (a_.ready()) {
      std::this_thread::yield();
    }
    a_.SetUp(true);
  });
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(a_.num_calls(), 2);
}

TEST_F(AcceleratorGroupTest, WaitsNoLongerThanItsPatience) {
  a_.SetUp(false);
  b_.SetUp(false);
  EXPECT_EQ(ReasonOf(Run(std::chrono::milliseconds(5)).status()), Reason::kNoAccelerator);
  EXPECT_EQ(ReasonOf(Run(std::chrono::nanoseconds(0)).status()), Reason::kNoAccelerator);
}

TEST_F(AcceleratorGroupTest, WaitsNoLongerThanTheDeadline) {
  a_.SetUp(false);
  b_.SetUp(false);
  EXPECT_EQ(ReasonOf(Run(std::chrono::seconds(30), std::chrono::milliseconds(5)).status()), Reason::kDeadline);
  EXPECT_EQ(ReasonOf(Run(std::chrono::seconds(30), std::chrono::nanoseconds(0)).status()), Reason::kDeadline);
  EXPECT_EQ(a_.num_calls(), 0);
}

TEST_F(AcceleratorGroupTest, AGroupOfNoneFailsAtOnce) {
  AcceleratorGroup group({}, readiness_, clock_, {});
  EXPECT_EQ(ReasonOf(group.Execute(kDigest, {}, {}, SteadyTime::max()).status()), Reason::kNoAccelerator);
  EXPECT_FALSE(group.Serves(kDigest));
}

// For what depends on time passing, or on the quarantine.
class MaskedExecutionTest : public ::testing::Test {
 protected:
  MaskedExecutionTest() { b_.SetLoad(1); }

  // Counts its attempts from 1 in the input that it makes.
  absl::StatusOr<AcceleratorGroup::Answer> Run(std::chrono::nanoseconds timeout = std::chrono::seconds(8)) {
    const auto make_inputs = [this](const Accelerator& to) {
      asked_.push_back(to.name());
      std::vector<Tensor> inputs;
      inputs.push_back(Tensor::Of<int32_t>(Shape({1}), std::vector<int32_t>{++num_made_}));
      return inputs;
    };
    return Group().ExecuteOn(kDigest, make_inputs, expected_, clock_.SteadyNow() + timeout, avoided_);
  }
  AcceleratorGroup Group() { return AcceleratorGroup({&a_, &b_}, readiness_, clock_, options_); }
  static std::vector<Tensor> Misshapen() {
    std::vector<Tensor> outputs;
    outputs.push_back(Tensor(DataType::kFloat32, Shape({2})));
    return outputs;
  }

  testing::FakeClock clock_;
  ReadinessSignal readiness_;
  ScriptedAccelerator a_{"a", readiness_};
  ScriptedAccelerator b_{"b", readiness_};
  Quarantine quarantine_{clock_, {.first = std::chrono::seconds(10), .max = std::chrono::seconds(40)}};
  AcceleratorGroup::Options options_ = {.attempt_timeout = std::chrono::seconds(2), .quarantine = &quarantine_};
  AcceleratorGroup::Avoided avoided_;
  std::vector<partition::CrossingTensor> expected_ = {{.name = "y", .type = DataType::kFloat32, .shape = Shape({1})}};
  std::vector<std::string> asked_;
  int32_t num_made_ = 0;
};

TEST_F(MaskedExecutionTest, SaysWhoAnswered) {
  const auto answer = Run();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->from, &a_);
  EXPECT_EQ(answer->outputs[0].values<float>()[0], 42);
  a_.SetUp(false);
  const auto other = Run();
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->from, &b_);
}

TEST_F(MaskedExecutionTest, InputsAreMadeAnewForEveryAttempt) {
  a_.Say(absl::UnavailableError("x"));
  a_.Say(absl::InternalError("x"));
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(asked_, ::testing::ElementsAre("a", "a", "b"));
  EXPECT_THAT(a_.seen(), ::testing::ElementsAre(1, 2));
  EXPECT_THAT(b_.seen(), ::testing::ElementsAre(3));
}

TEST_F(MaskedExecutionTest, NobodyWhoIsAvoidedIsAsked) {
  avoided_ = {&a_};
  const auto answer = Run();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->from, &b_);
  avoided_ = {&a_, &b_};
  EXPECT_EQ(ReasonOf(Run().status()), Reason::kNoAccelerator);
  EXPECT_EQ(a_.num_calls(), 0);
}

TEST_F(MaskedExecutionTest, NobodyInQuarantineIsAsked) {
  quarantine_.Punish(a_);
  EXPECT_EQ(Run()->from, &b_);
  EXPECT_TRUE(Group().Serves(kDigest));
  quarantine_.Punish(b_);
  EXPECT_EQ(ReasonOf(Run().status()), Reason::kNoAccelerator) << "and at once: this clock stands still";
  EXPECT_FALSE(Group().Serves(kDigest));
  quarantine_.ReleaseAll();
  EXPECT_EQ(Run()->from, &a_);
  EXPECT_THAT(asked_, ::testing::ElementsAre("b", "a"));
}

TEST_F(MaskedExecutionTest, OpenSegmentsPassOverTheQuarantineToo) {
  quarantine_.Punish(a_);
  const SteadyTime deadline = clock_.SteadyNow() + std::chrono::seconds(8);
  ASSERT_TRUE(Group().Execute(kDigest, {}, expected_, deadline).ok());
  EXPECT_EQ(a_.num_calls(), 0);
  EXPECT_EQ(b_.num_calls(), 1);
}

TEST_F(MaskedExecutionTest, AnAnswerOfAnotherFormPutsItsAuthorInQuarantine) {
  a_.Say(Misshapen());
  EXPECT_EQ(Run()->from, &b_);
  EXPECT_TRUE(quarantine_.Holds(a_));
  EXPECT_TRUE(avoided_.contains(&a_));
  quarantine_.ReleaseAll();
  avoided_.clear();
  a_.Say(absl::InvalidArgumentError("malformed, says the carrier"));
  EXPECT_EQ(Run()->from, &b_);
  EXPECT_TRUE(quarantine_.Holds(a_));
  EXPECT_EQ(quarantine_.num_offences(Offence::kMalformedAnswer), 2U);
}

TEST_F(MaskedExecutionTest, RefusalsAndLossesAreNoOffences) {
  for (const absl::Status& failure : {absl::ResourceExhaustedError("x"), absl::InternalError("x"),
                                      absl::DeadlineExceededError("it says so, and it is not true")}) {
    a_.Say(failure);
    EXPECT_EQ(Run()->from, &b_) << failure;
  }
  for (int i = 0; i < options_.max_attempts_each; ++i) {
    a_.Say(absl::UnavailableError("x"));
  }
  EXPECT_EQ(Run()->from, &b_);
  EXPECT_FALSE(quarantine_.Holds(a_));
  EXPECT_EQ(avoided_, AcceleratorGroup::Avoided{&a_}) << "lost at every attempt: not at every layer again";
}

TEST_F(MaskedExecutionTest, OneThatNeverAnswersIsPutInQuarantineAndTheNextIsAskedInTime) {
  a_.StaySilent(clock_);
  const SteadyTime start = clock_.SteadyNow();
  EXPECT_EQ(Run()->from, &b_);
  EXPECT_EQ(a_.last_deadline(), start + std::chrono::seconds(2));
  EXPECT_TRUE(quarantine_.Holds(a_));
  EXPECT_EQ(quarantine_.num_offences(Offence::kNoAnswer), 1U);
}

TEST_F(MaskedExecutionTest, AShortDeadlineLeavesTimeForTheCallerAndBlamesNobody) {
  a_.StaySilent(clock_);
  b_.StaySilent(clock_);
  const SteadyTime start = clock_.SteadyNow();
  EXPECT_EQ(ReasonOf(Run(std::chrono::seconds(2)).status()), Reason::kNoAccelerator);
  EXPECT_EQ(clock_.SteadyNow() - start, std::chrono::milliseconds(1500)) << "half, then half of the rest";
  EXPECT_EQ(quarantine_.num_held(), 0U) << "a client with no patience could empty the deployment";
  EXPECT_TRUE(avoided_.contains(&a_) && avoided_.contains(&b_)) << "but not at every layer of this request";
}

TEST_F(MaskedExecutionTest, APassedDeadlineIsSaid) {
  EXPECT_EQ(ReasonOf(Run(std::chrono::seconds(0)).status()), Reason::kDeadline);
  EXPECT_TRUE(asked_.empty());
}

}  // namespace
}  // namespace shoji::enclave
