// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The hostile accelerator as a process, seen by the enclave's client of it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "enclave_worker/service/accelerator/accelerator_client.h"
#include "lib/rpc/channel.h"
#include "tests/support/hostile_control.h"
#include "tests/support/process.h"
#include "tests/unit/gpu_worker/linear_layers.h"

namespace shoji::testing {
namespace {

using accelerator::RingLayer;
using accelerator::testing::RandomLimbs;
using accelerator::testing::ReferenceWords;
using std::chrono::milliseconds;

constexpr size_t kMaxAnswer = size_t{1} << 20;

class HostileAcceleratorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const auto& message : {accelerator::testing::SmallLayer(), accelerator::testing::DenseLayer(6)}) {
      bytes_.push_back(std::make_shared<const Bytes>(ToBytes(message.SerializeAsString())));
      digests_.push_back(digest::Sha256(*bytes_.back()));
      layers_.push_back(*accelerator::ParseRingLayer(*bytes_.back()));
    }
    Start({});
  }
  void Start(const std::vector<std::string>& flags) {
    client_ = nullptr;
    process_ = nullptr;
    std::vector<std::string> argv = {SHOJI_BINARY_DIR "/bin/shoji-hostile-accelerator",
                                     "--listen=unix:" + dir_.File("a.sock"), "--address-file=" + dir_.File("address"),
                                     "--huge-bytes=" + std::to_string(2 * kMaxAnswer)};
    argv.insert(argv.end(), flags.begin(), flags.end());
    auto process = Process::Start({argv, dir_.File("log"), {}, {}});
    ASSERT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
    rpc::Endpoint endpoint;
    endpoint.address = *rpc::ParseAddress("unix:" + dir_.File("a.sock"));
    auto channel = rpc::CreateChannel(endpoint, {.max_message_bytes = kMaxAnswer + 4096});
    ASSERT_TRUE(channel.ok()) << channel.status();
    enclave::AcceleratorClient::Options options;
    options.name = "a";
    options.channel = *channel;
    options.link.limits.max_bytes = kMaxAnswer;
    options.backoff = {.initial = milliseconds(5), .max = milliseconds(50)};
    auto client = enclave::AcceleratorClient::Create(options, readiness_, clock_);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    for (size_t i = 0; i < layers_.size(); ++i) {
      client_->Register(digests_[i], bytes_[i], enclave::SubModelFormat::kLinearLayer);
    }
    AwaitReady();
  }
  void AwaitReady() {
    ASSERT_TRUE(WaitFor([&] { return client_->ready(); })) << process_->Log();
  }
  void Order(const HostileOrder& order) { ASSERT_TRUE(WriteOrder(dir_.File("address.control"), order).ok()); }
  void OrderOne(Attack attack) { Order({.kind = HostileOrder::Kind::kOne, .attack = attack}); }
  HostileStatus Status() const {
    const auto status = ReadStatus(dir_.File("address.status"));
    EXPECT_TRUE(status.ok()) << status.status();
    return status.value_or(HostileStatus());
  }

  struct Seen {
    absl::Status status;
    bool right = false;
  };
  Seen Execute(size_t layer, uint32_t seed, milliseconds timeout = milliseconds(60'000)) {
    const Bytes limbs = RandomLimbs(layers_[layer], seed);
    const Tensor input = Tensor::Of<uint8_t>(layers_[layer].InputShape(), limbs);
    const Tensor* inputs[] = {&input};
    const auto outputs = client_->Execute(digests_[layer], inputs, clock_.SteadyNow() + timeout);
    if (!outputs.ok()) {
      return {outputs.status(), false};
    }
    const Bytes expected = ReferenceWords(layers_[layer], limbs);
    return {absl::OkStatus(), outputs->size() == 1 && (*outputs)[0].shape() == layers_[layer].OutputShape() &&
                                  std::equal(expected.begin(), expected.end(), (*outputs)[0].bytes().begin(),
                                             (*outputs)[0].bytes().end())};
  }

  RealClock clock_;
  enclave::ReadinessSignal readiness_;
  TempDir dir_;
  std::vector<std::shared_ptr<const Bytes>> bytes_;
  std::vector<digest::Sha256Digest> digests_;
  std::vector<RingLayer> layers_;
  std::unique_ptr<Process> process_;
  std::unique_ptr<enclave::AcceleratorClient> client_;
};

TEST_F(HostileAcceleratorTest, IsHonestWithoutAnOrder) {
  for (uint32_t seed = 1; seed <= 5; ++seed) {
    EXPECT_TRUE(Execute(seed % 2, seed).right) << process_->Log();
  }
  EXPECT_EQ(Status().executions, 5U);
  EXPECT_EQ(Status().attacks, 0U);
}

TEST_F(HostileAcceleratorTest, EveryChangeOfWordsArrivesAsAWrongAnswerOfTheRightForm) {
  Execute(0, 1);
  Execute(0, 2);
  Execute(1, 3);
  uint64_t attacks = 0;
  for (const Attack attack : AllAttacks()) {
    if (ChangesOnlyWords(attack)) {
      OrderOne(attack);
      const Seen seen = Execute(0, static_cast<uint32_t>(10 + attacks));
      EXPECT_TRUE(seen.status.ok()) << NameOf(attack) << ": " << seen.status;
      EXPECT_FALSE(seen.right) << NameOf(attack);
      EXPECT_EQ(Status().attacks, ++attacks);
      EXPECT_EQ(Status().last, attack);
    }
  }
}

TEST_F(HostileAcceleratorTest, AnswersOfAnotherFormAndFailuresDoNotGetThrough) {
  for (int i = 0; i < 5; ++i) {
    for (const Attack attack : {Attack::kShort, Attack::kLong, Attack::kFailure}) {
      OrderOne(attack);
      EXPECT_FALSE(Execute(0, 1).right) << NameOf(attack);
      EXPECT_EQ(Status().last, attack);
    }
  }
  EXPECT_EQ(Status().of.at(Attack::kLong), 5U);
}

TEST_F(HostileAcceleratorTest, HugeAnswersAndClosedStreamsCostTheConnectionAndNothingElse) {
  for (const Attack attack : {Attack::kHuge, Attack::kClosedStream}) {
    OrderOne(attack);
    const Seen seen = Execute(0, 1);
    EXPECT_TRUE(absl::IsUnavailable(seen.status)) << NameOf(attack) << ": " << seen.status;
    EXPECT_EQ(Status().last, attack);
    Order({});
    AwaitReady();
    EXPECT_TRUE(Execute(0, 1).right);
  }
}

TEST_F(HostileAcceleratorTest, WhatComesLateOrNotAtAllOrUnderAnotherIdIsNotAnAnswer) {
  for (const Attack attack : {Attack::kLate, Attack::kNothing, Attack::kWrongId}) {
    OrderOne(attack);
    const Seen seen = Execute(0, 1, milliseconds(100));
    EXPECT_TRUE(absl::IsDeadlineExceeded(seen.status)) << NameOf(attack) << ": " << seen.status;
    EXPECT_EQ(Status().last, attack);
    Order({});
    EXPECT_TRUE(Execute(0, 2).right) << "the late one is nobody's";
  }
}

TEST_F(HostileAcceleratorTest, TheSameSeedMakesTheSameChoices) {
  std::vector<std::map<Attack, uint64_t>> runs;
  for (const char* seed : {"--seed=4", "--seed=4", "--seed=5"}) {
    const std::string status = dir_.File("address.status");
    std::filesystem::remove(status);
    Start({"--attack=random", "--one-in=2", seed});
    for (uint32_t i = 0; i < 60; ++i) {
      // The time is waited for only where no answer comes. On a busy machine it may be over before the call is sent.
      const auto has_arrived = [&] { return std::filesystem::exists(status) && Status().executions > i; };
      do {
        Execute(0, i, milliseconds(500));
        AwaitReady();
      } while (!WaitFor(has_arrived, milliseconds(2'000)));
    }
    EXPECT_EQ(Status().executions, 60U);
    EXPECT_NEAR(static_cast<double>(Status().attacks), 30, 20);
    runs.push_back(Status().of);
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
}

TEST_F(HostileAcceleratorTest, AWrongCommandLineIsAnError) {
  const std::string binary = SHOJI_BINARY_DIR "/bin/shoji-hostile-accelerator";
  EXPECT_NE(RunCommand({binary}).exit_code, 0);
  const CommandResult unknown = RunCommand({binary, "--listen", "unix:" + dir_.File("b.sock"), "--attack", "nonsense"});
  EXPECT_NE(unknown.exit_code, 0);
  EXPECT_THAT(unknown.err, ::testing::HasSubstr("nonsense"));
}

}  // namespace
}  // namespace shoji::testing
