// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Requests of several clients that go through a model together, through real processes: each has the answer that it has
// alone, whatever becomes of the others.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "lib/base/reason.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"
#include "tests/support/scrape.h"

namespace shoji {
namespace {

using testing::Cluster;
using testing::ClusterModel;
using testing::ClusterOptions;
using testing::RawClient;

constexpr char kAlone[] = "alone";
constexpr char kTogether[] = "together";
constexpr size_t kClients = 8;
constexpr size_t kPictures = 6;

class BatchingTest : public ::testing::Test {
 protected:
  // The built-in model twice: once with batching and once without.
  void Start(const std::string& policy, ClusterOptions options = {}) {
    for (const char* name : {kAlone, kTogether}) {
      ClusterModel model = testing::BuiltInModel(policy);
      model.name = name;
      model.batching = name == kTogether ? "{max_batch: 4, max_delay: 50ms}" : "";
      options.models.push_back(model);
    }
    options.enclave_yaml += "metrics: {address: \"127.0.0.1:0\"}\n";
    auto cluster = Cluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same pictures in every run
    RawClient client(cluster_->address());
    ASSERT_TRUE(client.Attest(kAlone).ok());
    for (size_t i = 0; i < kPictures; ++i) {
      Bytes& picture = pictures_.emplace_back(size_t{32} * 32 * 3);
      std::generate(picture.begin(), picture.end(), [&] { return static_cast<uint8_t>(random()); });
      const absl::StatusOr<Bytes> answer = Ask(client, kAlone, i);
      ASSERT_TRUE(answer.ok()) << answer.status();
      expected_.push_back(*answer);
    }
  }

  absl::StatusOr<Bytes> Ask(RawClient& client, const std::string& model, size_t picture,
                            const std::function<bool()>& give_up = nullptr) {
    const auto sealed = client.Seal(channel::RequestKind::kPicture, pictures_[picture], model);
    if (!sealed.ok()) {
      return sealed.status();
    }
    const auto answer = give_up ? client.SendUntil(*sealed, give_up) : client.Send(*sealed);
    if (!answer.ok()) {
      return answer.status();
    }
    const auto plaintext = client.Open(*sealed, *answer);
    if (!plaintext.ok()) {
      return plaintext.status();
    }
    return Bytes(plaintext->Expose().begin(), plaintext->Expose().end());
  }

  // Every picture by every client, all at the same time.
  void ExpectRightAnswers(size_t rounds) {
    std::atomic<size_t> num_wrong = 0;
    std::vector<std::jthread> clients;
    for (size_t c = 0; c < kClients; ++c) {
      clients.emplace_back([&, c] {
        RawClient client(cluster_->address());
        if (!client.Attest(kTogether).ok()) {
          ++num_wrong;
          return;
        }
        for (size_t i = 0; i < rounds * kPictures; ++i) {
          const size_t picture = (i + c) % kPictures;
          const absl::StatusOr<Bytes> answer = Ask(client, kTogether, picture);
          if (!answer.ok() || *answer != expected_[picture]) {
            ++num_wrong;
          }
        }
      });
    }
    clients.clear();
    EXPECT_EQ(num_wrong, 0U) << cluster_->Logs();
  }

  double Metric(const std::string& name) {
    const auto address = testing::MetricsAddressIn(cluster_->enclave().Log());
    const absl::StatusOr<std::string> page = testing::Scrape(address.value());
    return testing::SeriesIn(page.value(), absl::StrCat(name, "{model=\"", kTogether, "\"}")).value_or(-1);
  }

  std::unique_ptr<Cluster> cluster_;
  std::vector<Bytes> pictures_;
  std::vector<Bytes> expected_;  // answers
};

class BatchingPolicyTest : public BatchingTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(BatchingPolicyTest, ConcurrentClientsGetTheBitsThatEachGetsAlone) {
  ASSERT_NO_FATAL_FAILURE(Start(testing::ReadyPolicy(GetParam())));
  ExpectRightAnswers(3);
  const double sum = Metric("shoji_enclave_batch_size_sum");
  EXPECT_EQ(sum, kClients * kPictures * 3);
  EXPECT_LT(Metric("shoji_enclave_batch_size_count"), sum) << "some must have gone together";
}

INSTANTIATE_TEST_SUITE_P(ReadyPolicies, BatchingPolicyTest,
                         ::testing::Values("enclave-only", "open", "slalom", "slalom-integrity"),
                         [](const auto& policy) {
                           std::string name = policy.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(BatchingTest, AWrongAnswerToOneRequestOfABatchChangesNobodysAnswer) {
  ClusterOptions options;
  options.num_accelerators = 2;
  for (size_t a = 0; a < 2; ++a) {
    options.hostile[a] = {"--attack", "flipped_bit", "--one-in", "20"};
  }
  options.enclave_yaml = "quarantine: {first: 1ms, max: 1ms}\n";
  ASSERT_NO_FATAL_FAILURE(Start(testing::ReadyPolicy("slalom-integrity"), options));
  ExpectRightAnswers(3);
  EXPECT_GT(Metric("shoji_enclave_failed_verifications_total"), 0);
}

TEST_F(BatchingTest, WhoGivesUpLeavesTheOthersTheirAnswers) {
  ASSERT_NO_FATAL_FAILURE(Start(testing::ReadyPolicy("slalom")));
  std::atomic<bool> done = false;
  std::jthread quitter([&] {
    RawClient client(cluster_->address());
    ASSERT_TRUE(client.Attest(kTogether).ok());
    while (!done) {
      (void)Ask(client, kTogether, 0, [] { return true; });  // gone, before the answer as a rule
    }
  });
  ExpectRightAnswers(3);
  done = true;
}

TEST_F(BatchingTest, AReloadAndADrainLoseNobodyWhoWaitsForABatch) {
  ASSERT_NO_FATAL_FAILURE(Start(testing::ReadyPolicy("enclave-only")));
  std::atomic<size_t> num_answered = 0;
  std::atomic<size_t> num_lost = 0;
  std::atomic<bool> stop = false;
  std::vector<std::jthread> clients;
  for (size_t c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      while (!stop) {
        RawClient client(cluster_->address());
        if (!client.Attest(kTogether).ok()) {
          continue;
        }
        for (absl::StatusOr<Bytes> answer = Ask(client, kTogether, 1);; answer = Ask(client, kTogether, 1)) {
          if (!answer.ok()) {
            // Only as the protocol says it: a session of before, or an enclave that is going.
            const Reason reason = ReasonOf(answer.status());
            num_lost += reason == Reason::kStaleManifest || reason == Reason::kDraining ||
                                reason == Reason::kNoEnclave || reason == Reason::kUnknownKey
                            ? 0U
                            : 1U;
            break;
          }
          num_lost += *answer == expected_[1] ? 0U : 1U;
          ++num_answered;
          if (stop) {
            break;
          }
        }
      }
    });
  }
  const auto more = [&](size_t count) {
    const size_t before = num_answered;
    return testing::WaitFor([&] { return num_answered >= before + count; });
  };
  ASSERT_TRUE(more(20));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(cluster_->Reload());
    ASSERT_TRUE(more(20));
  }
  cluster_->enclave().Signal(SIGTERM);
  EXPECT_EQ(cluster_->enclave().Wait(std::chrono::seconds(30)), 0);
  stop = true;
  clients.clear();
  EXPECT_EQ(num_lost, 0U) << cluster_->Logs();
}

}  // namespace
}  // namespace shoji
