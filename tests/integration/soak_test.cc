// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Requests for a while, with everything that happens to a service in a year: accelerators and enclaves die and come
// back, keys rotate every few seconds, models and the front end reload. No answer is wrong, each request ends before
// its deadline, with an answer or an error that says something, and nothing leaks or hangs.
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/support/cluster.h"

namespace shoji {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Cluster;
using testing::ClusterOptions;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif

constexpr seconds kDuration(kSanitizerBuild ? 20 : SHOJI_SOAK_SECONDS);
constexpr seconds kTimeout(20);  // of one request
constexpr size_t kNumAccelerators = 3;
constexpr size_t kNumEnclaves = 2;
constexpr int kNumClients = 4;

// Both compute in int8: a request gives the same bits under either.
constexpr char kBlinded[] =
    "model: cifar10_resnet\nsegments: [{from: input, place: blinded, verify: true}]\n"
    "masking: {source: pads, pool: {requests: 16, memory: 256MiB, on_empty: enclave}}\n";
constexpr char kInEnclave[] = "model: cifar10_resnet\nsegments: [{from: input, place: enclave, precision: int8}]\n";

Tensor Picture(size_t number) {
  Tensor out(DataType::kFloat32, Shape({1, 3, 32, 32}));
  size_t i = number;
  for (float& value : out.mutable_values<float>()) {
    value = std::sin(static_cast<float>(i += number + 1));
  }
  return out;
}

class SoakTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ClusterOptions options;
    options.models = {testing::BuiltInModel(kBlinded)};
    options.num_accelerators = kNumAccelerators;
    options.num_enclaves = kNumEnclaves;
    options.server_yaml = "log: {level: warning}\n";
    options.enclave_yaml =
        "sessions: {rotate_after: 4s, grace: 3s}\nquarantine: {first: 1s, max: 2s}\nwork: {offload_timeout: 1s}\n"
        "log: {level: warning}\n";
    options.accelerator_yaml = "log: {level: warning}\n";
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    const auto session = cluster_->OpenSession();
    ASSERT_TRUE(session.ok()) << session.status();
    for (size_t i = 0; i < pictures_.size(); ++i) {
      pictures_[i] = Picture(i);
      const auto answer = (*session)->Infer(std::span(&pictures_[i], 1), clock_.SteadyNow() + kTimeout);
      ASSERT_TRUE(answer.ok()) << answer.status();
      expected_[i] = answer->outputs[0].Clone();
    }
  }

  // Sends requests one after the other until told to stop.
  void Client(int number, const std::stop_token& stop) {
    auto session = cluster_->OpenSession();
    for (size_t i = static_cast<size_t>(number); !stop.stop_requested(); ++i) {
      const SteadyTime deadline = clock_.SteadyNow() + kTimeout;
      if (!session.ok()) {
        session = cluster_->OpenSession();
        Count(session.status(), deadline);
        continue;
      }
      const size_t picture = i % pictures_.size();
      const auto answer = (*session)->Infer(std::span(&pictures_[picture], 1), deadline);
      Count(answer.status(), deadline);
      if (answer.ok()) {
        const ByteSpan got = answer->outputs[0].bytes();
        const ByteSpan wanted = expected_[picture].bytes();
        num_wrong_ += std::equal(got.begin(), got.end(), wanted.begin(), wanted.end()) ? 0 : 1;
        ++num_answered_;
      }
    }
  }
  void Count(const absl::Status& status, SteadyTime deadline) {
    num_late_ += clock_.SteadyNow() > deadline + seconds(1) ? 1 : 0;
    if (!status.ok()) {
      const std::scoped_lock lock(mu_);
      ++errors_[std::string(status.message())];
    }
  }

  // One thing that happens, to a member of each kind at most at a time; whatever was killed is there again afterwards.
  void Disturb(std::mt19937& random) {
    const auto pick = [&](size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random); };
    // Each kind once before chance chooses, however few there is time for.
    constexpr size_t kKinds = 5;
    const size_t kind = num_events_ < kKinds ? num_events_ : pick(kKinds);
    ++num_events_;
    switch (kind) {
      case 0: {
        const size_t i = pick(kNumAccelerators);
        cluster_->accelerator(i).Kill();
        cluster_->StartAccelerator(i);
        ++num_killed_accelerators_;
        break;
      }
      case 1: {
        const size_t i = pick(kNumEnclaves);
        cluster_->enclave(i).Kill();
        cluster_->StartEnclave(i);
        ++num_killed_enclaves_;
        break;
      }
      case 2: {  // several at once
        for (size_t i = 0; i + 1 < kNumAccelerators; ++i) {
          cluster_->accelerator(i).Kill();
          cluster_->StartAccelerator(i);
          ++num_killed_accelerators_;
        }
        break;
      }
      case 3:
        cluster_->server().Signal(SIGHUP);
        break;
      default:
        cluster_->WritePolicy("cifar10_resnet", pick(2) == 0 ? kBlinded : kInEnclave);
        for (size_t i = 0; i < kNumEnclaves; ++i) {
          cluster_->enclave(i).Signal(SIGHUP);
        }
        ++num_reloads_;
    }
  }

  const RealClock clock_;
  std::unique_ptr<Cluster> cluster_;
  std::array<Tensor, 8> pictures_;
  std::array<Tensor, 8> expected_;
  std::atomic<uint64_t> num_answered_ = 0;
  std::atomic<uint64_t> num_wrong_ = 0;
  std::atomic<uint64_t> num_late_ = 0;
  std::mutex mu_;
  std::map<std::string, int> errors_;
  size_t num_events_ = 0;
  int num_killed_accelerators_ = 0;
  int num_killed_enclaves_ = 0;
  int num_reloads_ = 0;
};

TEST_F(SoakTest, NoAnswerIsWrongOrLostWhateverDies) {
  std::mt19937 random(20261127);  // NOLINT(cert-msc51-cpp): the same course of events every time
  long server_early = 0;
  long threads_early = 0;
  uint64_t num_seen = 0;
  int num_stalls = 0;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < kNumClients; ++i) {
      clients.emplace_back([this, i](const std::stop_token& stop) { Client(i, stop); });
    }
    const SteadyTime begin = clock_.SteadyNow();
    while (clock_.SteadyNow() < begin + kDuration) {
      Disturb(random);
      // Between two events the service is to answer again, soon.
      num_seen = num_answered_;
      const milliseconds pause(std::uniform_int_distribution<int>(300, 2500)(random));
      const SteadyTime next = clock_.SteadyNow() + pause;
      num_stalls += testing::WaitFor([&] { return num_answered_ > num_seen + 8; }, kTimeout) ? 0 : 1;
      testing::WaitFor([&] { return clock_.SteadyNow() >= next; }, pause + seconds(1));
      if (server_early == 0 && clock_.SteadyNow() > begin + kDuration / 3) {
        server_early = testing::ResidentKib(cluster_->server().pid());
        threads_early = testing::NumThreads(cluster_->server().pid());
      }
    }
  }
  std::string errors;
  int num_errors = 0;
  for (const auto& [text, count] : errors_) {
    errors += std::to_string(count) + " x " + (text.empty() ? "(nothing)" : text) + "\n";
    num_errors += count;
  }
  RecordProperty("answered", std::to_string(num_answered_));
  RecordProperty("errors", num_errors);
  RecordProperty("killed accelerators", num_killed_accelerators_);
  RecordProperty("killed enclaves", num_killed_enclaves_);
  RecordProperty("reloads", num_reloads_);
  EXPECT_EQ(num_wrong_, 0U);
  EXPECT_EQ(num_late_, 0U);
  EXPECT_EQ(num_stalls, 0);
  EXPECT_EQ(errors_.count(""), 0U);
  // There is always another enclave, and an enclave can do without accelerators: twenty seconds are enough.
  EXPECT_EQ(num_errors, 0) << errors << cluster_->Logs();
  constexpr int kFewest = kSanitizerBuild ? 1 : 2;  // of each, several where there is time for them
  EXPECT_GE(num_killed_accelerators_, kFewest);
  EXPECT_GE(num_killed_enclaves_, kFewest);
  EXPECT_GE(num_reloads_, kFewest);
  if (!kSanitizerBuild) {
    EXPECT_LE(testing::ResidentKib(cluster_->server().pid()) - server_early, 8 * 1024)
        << "front end, since a third of the time";
  }
  EXPECT_LE(testing::NumThreads(cluster_->server().pid()), threads_early + 4);
  EXPECT_TRUE(cluster_->WaitServing());
  std::vector<testing::Process*> processes = {&cluster_->server()};
  for (size_t i = 0; i < kNumEnclaves; ++i) {
    processes.push_back(&cluster_->enclave(i));
  }
  for (size_t i = 0; i < kNumAccelerators; ++i) {
    processes.push_back(&cluster_->accelerator(i));
  }
  for (testing::Process* process : processes) {
    process->Signal(SIGTERM);
  }
  for (testing::Process* process : processes) {
    const std::optional<int> status = process->Wait(seconds(30));
    ASSERT_TRUE(status.has_value()) << "stuck: " << process->Log();
    EXPECT_EQ(*status, 0) << process->Log();
  }
}

}  // namespace
}  // namespace shoji
