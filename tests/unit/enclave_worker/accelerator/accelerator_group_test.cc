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
  void Register(const digest::Sha256Digest& /*digest*/, std::shared_ptr<const Bytes> /*onnx*/) override {}
  void Unregister(const digest::Sha256Digest& /*digest*/) override {}

  absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& /*digest*/,
                                              std::span<const Tensor* const> /*inputs*/,
                                              SteadyTime /*deadline*/) override {
    const absl::MutexLock lock(&mu_);
    ++num_calls_;
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

}  // namespace
}  // namespace shoji::enclave
