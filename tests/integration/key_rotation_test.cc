// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Keys and manifests of a real enclave process as they are replaced: by time, by count, by a reload.
#include <array>
#include <atomic>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "lib/crypto/random.h"
#include "lib/digest/sha2.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using ::testing::AllOf;
using testing::Cluster;
using testing::ClusterOptions;
using ::testing::HasSubstr;
using testing::RawClient;
using testing::WaitFor;

constexpr char kModel[] = "cifar10_resnet";

std::unique_ptr<Cluster> StartCluster(const std::string& policy, const std::string& enclave_yaml = "") {
  ClusterOptions options;
  options.models = {testing::BuiltInModel(testing::ReadyPolicy(policy))};
  options.enclave_yaml = enclave_yaml;
  options.taps = ClusterOptions::Taps::kAll;
  auto cluster = Cluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

// The manifest that the enclave gives to new clients.
attest::Manifest CurrentManifest(const Cluster& cluster) {
  RawClient client(cluster.address());
  const auto evidence = client.GetEvidence(crypto::RandomArray<32>());
  EXPECT_TRUE(evidence.ok()) << evidence.status();
  const auto manifest = attest::DecodeManifest(AsBytes(evidence->manifest()));
  EXPECT_TRUE(manifest.ok()) << manifest.status();
  return *manifest;
}

const Bytes kPicture(size_t{3} * 32 * 32, 7);  // NOLINT(cert-err58-cpp): test code

absl::Status Ask(RawClient& client) { return client.Roundtrip(channel::RequestKind::kPicture, kPicture, kModel); }

TEST(KeyRotationTest, ByTimeNewEvidenceNamesANewKeyAndSessionsUnderTheOldOneGoOnInItsGrace) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only", "sessions: {rotate_after: 4s, grace: 4s}\n");
  ASSERT_NE(cluster, nullptr);
  RawClient early(cluster->address());
  ASSERT_TRUE(early.Attest(kModel).ok());
  const attest::Manifest old = early.manifest();
  attest::Manifest fresh;
  ASSERT_TRUE(WaitFor([&] {
    fresh = CurrentManifest(*cluster);
    return fresh.hpke_public_key != old.hpke_public_key;
  }));
  EXPECT_GT(fresh.expires_at, old.expires_at);
  EXPECT_EQ(fresh.models.size(), old.models.size());
  const absl::Status in_grace = Ask(early);
  EXPECT_TRUE(in_grace.ok()) << in_grace;
  // One that attested before the rotation, and opens its session only now.
  const auto hello = early.MakeHello();
  ASSERT_TRUE(hello.ok());
  const auto opened = early.SendHello(*hello);
  EXPECT_TRUE(opened.ok()) << opened.status();
  // What the key has seen is remembered while it lives, and gone with it: then it is the key that is unknown.
  Reason reason = Reason::kUnspecified;
  EXPECT_TRUE(WaitFor([&] {
    reason = ReasonOf(early.SendHello(*hello).status());
    return reason != Reason::kEncReused;
  }));
  EXPECT_EQ(reason, Reason::kUnknownKey);
}

TEST(KeyRotationTest, ByCountNewEvidenceNamesANewKeyAndSessionsUnderTheOldOneGoOn) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only", "sessions: {max_per_key: 2}\n");
  ASSERT_NE(cluster, nullptr);
  RawClient first(cluster->address());
  RawClient second(cluster->address());
  ASSERT_TRUE(first.Attest(kModel).ok());
  ASSERT_TRUE(second.Attest(kModel).ok());
  ASSERT_EQ(first.manifest().hpke_public_key, second.manifest().hpke_public_key);
  EXPECT_NE(CurrentManifest(*cluster).hpke_public_key, first.manifest().hpke_public_key);
  EXPECT_TRUE(Ask(first).ok());
  EXPECT_TRUE(Ask(second).ok());
  // The old key is used up: it opens no third session, also for one who attested in time.
  const auto hello = second.MakeHello();
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(ReasonOf(second.SendHello(*hello).status()), Reason::kSessionLimit);
  EXPECT_TRUE(Ask(first).ok());
}

// Noise: no run of it occurs anywhere by chance.
Tensor MarkedInput() {
  Tensor out(DataType::kFloat32, Shape({1, 3, 32, 32}));
  std::mt19937 random(20260102);  // NOLINT(cert-msc51-cpp): a fixed mark
  for (float& value : out.mutable_values<float>()) {
    value = std::uniform_real_distribution<float>(-1, 1)(random);
  }
  return out;
}

class PinnedPlanTest : public ::testing::Test {
 protected:
  void Start(const std::string& policy) {
    cluster_ = StartCluster(policy);
    ASSERT_NE(cluster_, nullptr);
    pinned_ = CurrentManifest(*cluster_).models.at(0).plan_digest;
    auto session = cluster_->OpenSession(
        kModel, {.opened_result = client::OpenedResult::kAllow, .model_digest = std::nullopt, .plan_digest = pinned_});
    ASSERT_TRUE(session.ok()) << session.status();
    session_ = *std::move(session);
  }
  void Reload(const std::string& policy) {
    cluster_->WritePolicy(kModel, testing::ReadyPolicy(policy));
    ASSERT_TRUE(cluster_->Reload()) << cluster_->Logs();
    ASSERT_TRUE(cluster_->WaitServing());
  }
  absl::StatusOr<client::Answer> Infer(client::Session& session) {
    const std::array<Tensor, 1> inputs = {input_.Clone()};
    return session.Infer(inputs, clock_.SteadyNow() + std::chrono::seconds(20));
  }
  bool AcceleratorSawTheInput() {
    return testing::ContainsAnyPart(cluster_->accelerator_tap(0, 0).sent(), input_.bytes(), 64);
  }
  static void ExpectRefusedForItsPlan(const absl::Status& status) {
    EXPECT_TRUE(client::IsRefusal(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("plan"));
  }

  const RealClock clock_;
  const Tensor input_ = MarkedInput();
  std::unique_ptr<Cluster> cluster_;
  digest::Sha256Digest pinned_ = {};
  std::unique_ptr<client::Session> session_;
};

TEST_F(PinnedPlanTest, NoRequestOfAPinnedSessionRunsUnderAnotherPlan) {
  ASSERT_NO_FATAL_FAILURE(Start("enclave-only"));
  // Requests without a pause, over a reload that would open the input.
  std::atomic<int> num_answered = 0;
  absl::Status end;
  std::thread sender([&] {
    while (end.ok()) {
      const absl::StatusOr<client::Answer> answer = Infer(*session_);
      end = answer.status();
      num_answered += answer.ok() ? 1 : 0;
      EXPECT_TRUE(!answer.ok() || answer->model->manifest.plan_digest == pinned_);
    }
  });
  EXPECT_TRUE(WaitFor([&] { return num_answered > 2; }));
  Reload("open");
  sender.join();
  EXPECT_TRUE(client::IsRefusal(end)) << end;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(client::IsRefusal(Infer(*session_).status()));
  }
  EXPECT_FALSE(AcceleratorSawTheInput());
  // Under its own plan it goes on.
  Reload("enclave-only");
  const absl::StatusOr<client::Answer> again = Infer(*session_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->model->manifest.plan_digest, pinned_);
  EXPECT_FALSE(AcceleratorSawTheInput());
  // And it would have been seen: a session that pins nothing is served under the plan that opens it.
  Reload("open");
  const auto unpinned = cluster_->OpenSession(kModel);
  ASSERT_TRUE(unpinned.ok()) << unpinned.status();
  ASSERT_TRUE(Infer(**unpinned).ok());
  EXPECT_TRUE(AcceleratorSawTheInput());
}

TEST_F(PinnedPlanTest, APinnedSessionRefusesAPlanThatOpensLessToo) {
  ASSERT_NO_FATAL_FAILURE(Start("open"));
  ASSERT_TRUE(Infer(*session_).ok());
  Reload("enclave-only");
  ExpectRefusedForItsPlan(Infer(*session_).status());
}

}  // namespace
}  // namespace shoji
