// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Processes die in the middle of requests. The client gets the right answer or a clear error before its deadline, and
// the service resumes by itself when the process is back.
#include <array>
#include <atomic>
#include <cmath>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/cluster.h"

namespace shoji {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Cluster;
using testing::ClusterOptions;

Tensor SamplePicture() {
  Tensor out(DataType::kFloat32, Shape({1, 3, 32, 32}));
  size_t i = 0;
  for (float& value : out.mutable_values<float>()) {
    value = std::sin(static_cast<float>(i++));
  }
  return out;
}

class FaultTest : public ::testing::Test {
 protected:
  void Start(int num_accelerators, int num_enclaves, const std::string& policy = "layer-partition") {
    ClusterOptions options;
    options.models = {testing::BuiltInModel(testing::ReadyPolicy(policy))};
    options.num_accelerators = num_accelerators;
    options.num_enclaves = num_enclaves;
    options.server_yaml = "log: {level: warning}\n";
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    auto session = cluster_->OpenSession();
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
    inputs_[0] = SamplePicture();
    const auto answer = Infer(seconds(20));
    ASSERT_TRUE(answer.ok()) << answer.status() << cluster_->Logs();
    expected_ = answer->outputs[0].Clone();
  }
  absl::StatusOr<client::Answer> Infer(milliseconds timeout) {
    return session_->Infer(inputs_, clock_.SteadyNow() + timeout);
  }
  bool IsRight(const client::Answer& answer) const {
    for (size_t i = 0; i < expected_.num_elements(); ++i) {
      if (std::abs(answer.outputs[0].values<float>()[i] - expected_.values<float>()[i]) > 1e-3F) {
        return false;
      }
    }
    return true;
  }

  // Sends requests from `kClients` threads while `disturb` runs, and until `after` more were answered after it. Every
  // one must end before its deadline, with the right answer or an error that says something.
  struct Tally {
    int right = 0;
    int errors = 0;
    int wrong = 0;
    int late = 0;
    int mute = 0;
  };
  template <typename Disturb>
  Tally LoadWhile(Disturb disturb, milliseconds timeout) {
    constexpr int kClients = 4;
    std::atomic<int> right = 0;
    std::atomic<int> errors = 0;
    std::atomic<int> wrong = 0;
    std::atomic<int> late = 0;
    std::atomic<int> mute = 0;
    {
      std::vector<std::jthread> clients;
      for (int i = 0; i < kClients; ++i) {
        clients.emplace_back([&](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            const SteadyTime deadline = clock_.SteadyNow() + timeout;
            const auto answer = session_->Infer(inputs_, deadline);
            late += clock_.SteadyNow() > deadline + milliseconds(500) ? 1 : 0;
            if (answer.ok()) {
              ++(IsRight(*answer) ? right : wrong);
            } else {
              ++errors;
              mute += answer.status().message().empty() ? 1 : 0;
            }
          }
        });
      }
      EXPECT_TRUE(testing::WaitFor([&] { return right > 20; }));
      disturb();
      const int before = right;
      EXPECT_TRUE(testing::WaitFor([&] { return right > before + 20; }))
          << "service did not resume" << cluster_->Logs();
    }
    return {right, errors, wrong, late, mute};
  }
  static void ExpectClean(const Tally& tally) {
    EXPECT_EQ(tally.wrong, 0);
    EXPECT_EQ(tally.late, 0);
    EXPECT_EQ(tally.mute, 0);
  }

  const RealClock clock_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<client::Session> session_;
  std::array<Tensor, 1> inputs_;
  Tensor expected_;
};

TEST_F(FaultTest, LosingOneOfTwoAcceleratorsCostsNoRequest) {
  Start(2, 1);
  const Tally tally = LoadWhile(
      [&] {
        cluster_->accelerator(0).Kill();
        EXPECT_TRUE(Infer(seconds(20)).ok());
        cluster_->StartAccelerator(0);
      },
      seconds(20));
  ExpectClean(tally);
  EXPECT_EQ(tally.errors, 0);
}

TEST_F(FaultTest, TheOnlyAcceleratorComesBack) {
  Start(1, 1);
  const Tally tally = LoadWhile(
      [&] {
        cluster_->accelerator(0).Kill();
        cluster_->StartAccelerator(0);
      },
      seconds(20));
  ExpectClean(tally);
}

TEST_F(FaultTest, WithoutAnyAcceleratorTheErrorIsClearAndTimely) {
  Start(1, 1);
  cluster_->accelerator(0).Kill();
  const SteadyTime begin = clock_.SteadyNow();
  const auto answer = Infer(seconds(4));
  ASSERT_FALSE(answer.ok());
  EXPECT_LT(clock_.SteadyNow() - begin, seconds(5));
  EXPECT_FALSE(answer.status().message().empty());
  cluster_->StartAccelerator(0);
  EXPECT_TRUE(testing::WaitFor([&] { return Infer(seconds(4)).ok(); }));
}

TEST_F(FaultTest, TheEnclaveIsKilledAndComesBackAndTheClientAttestsAnew) {
  Start(1, 1);
  const Tally tally = LoadWhile(
      [&] {
        cluster_->enclave().Kill();
        cluster_->StartEnclave();
      },
      seconds(20));
  ExpectClean(tally);
  EXPECT_EQ(tally.errors, 0) << "twenty seconds are enough for an enclave to come back";
}

TEST_F(FaultTest, AnotherEnclaveTakesOver) {
  Start(1, 2);
  const Tally tally = LoadWhile(
      [&] {
        cluster_->enclave(0).Kill();
        EXPECT_TRUE(Infer(seconds(20)).ok());
        cluster_->StartEnclave(0);
        EXPECT_TRUE(cluster_->WaitServing());
        cluster_->enclave(1).Kill();
        EXPECT_TRUE(Infer(seconds(20)).ok());
        cluster_->StartEnclave(1);
      },
      seconds(20));
  ExpectClean(tally);
  EXPECT_EQ(tally.errors, 0);
}

TEST_F(FaultTest, TheFrontEndIsKilledAndComesBack) {
  Start(1, 1);
  const Tally tally = LoadWhile(
      [&] {
        cluster_->server().Kill();
        cluster_->StartServer();
      },
      seconds(20));
  ExpectClean(tally);
}

TEST_F(FaultTest, TheFrontEndDrainsOnSigtermAndLosesNothing) {
  Start(1, 1);
  std::atomic<bool> stop = false;
  std::atomic<int> right = 0;
  std::jthread client([&] {
    while (!stop) {
      const auto answer = Infer(milliseconds(1500));
      right += answer.ok() && IsRight(*answer) ? 1 : 0;
      if (!answer.ok()) {
        return;
      }
    }
  });
  EXPECT_TRUE(testing::WaitFor([&] { return right > 10; }));
  cluster_->server().Signal(SIGTERM);
  const std::optional<int> status = cluster_->server().Wait(seconds(30));
  stop = true;
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(*status, 0) << cluster_->server().Log();
}

TEST_F(FaultTest, EveryDaemonStopsCleanlyOnSigterm) {
  Start(1, 1);
  for (testing::Process* process : {&cluster_->server(), &cluster_->enclave(), &cluster_->accelerator(0)}) {
    process->Signal(SIGTERM);
    const std::optional<int> status = process->Wait(seconds(30));
    ASSERT_TRUE(status.has_value()) << process->Log();
    EXPECT_EQ(*status, 0) << process->Log();
  }
}

TEST_F(FaultTest, ReadinessTellsTheTruth) {
  Start(1, 1);
  EXPECT_TRUE(cluster_->WaitServing());
  cluster_->accelerator(0).Kill();
  EXPECT_TRUE(testing::WaitFor([&] { return !cluster_->WaitServing(milliseconds(0)); }))
      << "an open segment without an accelerator is not ready";
  cluster_->StartAccelerator(0);
  EXPECT_TRUE(cluster_->WaitServing());
  cluster_->enclave().Kill();
  EXPECT_TRUE(testing::WaitFor([&] { return !cluster_->WaitServing(milliseconds(0)); }));
}

}  // namespace
}  // namespace shoji
