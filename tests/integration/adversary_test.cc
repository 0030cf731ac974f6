// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// An adversary who owns the front end, against real processes: each attack gets its clear error, and the next honest
// request its right answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/reason.h"
#include "tests/support/cluster.h"
#include "tests/support/raw_client.h"

namespace shoji {
namespace {

using ::testing::AnyOf;
using testing::Cluster;
using testing::ClusterOptions;
using ::testing::Eq;
using ::testing::HasSubstr;
using testing::RawClient;

constexpr char kModel[] = "cifar10_resnet";

std::unique_ptr<Cluster> StartCluster(const std::string& policy, const std::string& enclave_yaml = "",
                                      int num_enclaves = 1) {
  ClusterOptions options;
  options.models = {testing::BuiltInModel(testing::ReadyPolicy(policy))};
  options.enclave_yaml = enclave_yaml;
  options.num_enclaves = num_enclaves;
  options.server_yaml = "log: {level: warning}\n";
  auto cluster = Cluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

class AdversaryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartCluster("enclave-only");
    ASSERT_NE(cluster_, nullptr);
    client_ = std::make_unique<RawClient>(cluster_->address());
    ASSERT_TRUE(client_->Attest(kModel).ok());
  }
  channel::SealedRequest Sealed() {
    auto request = client_->Seal(channel::RequestKind::kPicture, picture_, kModel);
    EXPECT_TRUE(request.ok());
    return *std::move(request);
  }
  Reason SendReason(const channel::SealedRequest& request) { return ReasonOf(client_->Send(request).status()); }
  void ExpectHonestRequestSucceeds() {
    const absl::Status status = client_->Roundtrip(channel::RequestKind::kPicture, picture_, kModel);
    EXPECT_TRUE(status.ok()) << status;
  }

  const Bytes picture_ = Bytes(size_t{3} * 32 * 32, 77);
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<RawClient> client_;
};

TEST_F(AdversaryTest, EveryFlippedBitOfASealedRequestIsRefused) {
  const channel::SealedRequest good = Sealed();
  for (size_t bit = 0; bit < good.ciphertext.size() * 8; ++bit) {
    channel::SealedRequest flipped = good;
    flipped.ciphertext[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    ASSERT_EQ(SendReason(flipped), Reason::kOpenFailed) << "bit " << bit;
  }
  // None of them used the number up: the untouched request is still answered, once.
  EXPECT_TRUE(client_->Send(good).ok());
  EXPECT_EQ(SendReason(good), Reason::kReplayed);
  ExpectHonestRequestSucceeds();
}

TEST_F(AdversaryTest, EveryTruncationAndExtensionIsRefused) {
  const channel::SealedRequest good = Sealed();
  for (size_t size = 0; size < good.ciphertext.size(); ++size) {
    channel::SealedRequest cut = good;
    cut.ciphertext.resize(size);
    ASSERT_THAT(SendReason(cut), AnyOf(Eq(Reason::kOpenFailed), Eq(Reason::kWrongLength))) << "length " << size;
  }
  channel::SealedRequest longer = good;
  longer.ciphertext.push_back(0);
  EXPECT_EQ(SendReason(longer), Reason::kOpenFailed);
  EXPECT_TRUE(client_->Send(good).ok());
}

TEST_F(AdversaryTest, WhatSurroundsTheCiphertextIsAuthenticatedToo) {
  const channel::SealedRequest good = Sealed();
  channel::SealedRequest altered = good;
  altered.sequence += 1;
  EXPECT_EQ(SendReason(altered), Reason::kOpenFailed);
  altered = good;
  altered.session_id[0] ^= 1;
  EXPECT_EQ(SendReason(altered), Reason::kUnknownSession);
  altered = good;
  altered.key_id[0] ^= 1;
  EXPECT_EQ(SendReason(altered), Reason::kUnknownKey);
  altered = good;
  altered.model = "another";
  EXPECT_EQ(SendReason(altered), Reason::kOpenFailed);
  EXPECT_TRUE(client_->Send(good).ok());
}

TEST_F(AdversaryTest, AReplayedRequestIsRefused) {
  const channel::SealedRequest request = Sealed();
  ASSERT_TRUE(client_->Send(request).ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(SendReason(request), Reason::kReplayed);
  }
  ExpectHonestRequestSucceeds();
}

TEST_F(AdversaryTest, ARequestOlderThanTheWindowIsRefused) {
  const channel::SealedRequest old = Sealed();
  channel::SealedRequest newest = Sealed();
  // As many numbers as the window is wide pass without being sent.
  for (int i = 0; i < 1100; ++i) {
    newest = Sealed();
  }
  ASSERT_TRUE(client_->Send(newest).ok());
  EXPECT_EQ(SendReason(old), Reason::kSequenceTooOld);
  ExpectHonestRequestSucceeds();
}

TEST_F(AdversaryTest, WithinTheWindowAnyOrderIsAnswered) {
  std::vector<channel::SealedRequest> requests;
  for (int i = 0; i < 8; ++i) {
    requests.push_back(Sealed());
  }
  for (auto request = requests.rbegin(); request != requests.rend(); ++request) {
    EXPECT_TRUE(client_->Send(*request).ok());
  }
}

TEST_F(AdversaryTest, ARequestOfOneSessionIsRefusedInAnother) {
  RawClient other(cluster_->address());
  ASSERT_TRUE(other.Attest(kModel).ok());
  channel::SealedRequest request = Sealed();
  request.session_id = other.initiator().session_id();
  EXPECT_EQ(SendReason(request), Reason::kOpenFailed);
  EXPECT_TRUE(other.Roundtrip(channel::RequestKind::kPicture, picture_, kModel).ok());
  ExpectHonestRequestSucceeds();
}

TEST_F(AdversaryTest, AnAnswerToOneRequestDoesNotOpenAsTheAnswerToAnother) {
  const channel::SealedRequest first = Sealed();
  const channel::SealedRequest second = Sealed();
  const auto answer = client_->Send(first);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(client_->Open(first, *answer).ok());
  EXPECT_FALSE(client_->Open(second, *answer).ok());
  channel::SealedAnswer altered = *answer;
  altered.ciphertext[0] ^= 1;
  EXPECT_FALSE(client_->Open(first, altered).ok());
}

TEST_F(AdversaryTest, AReplayedHelloOpensNoSecondSession) {
  const auto hello = client_->MakeHello();
  ASSERT_TRUE(hello.ok());
  ASSERT_TRUE(client_->SendHello(*hello).ok());
  EXPECT_EQ(ReasonOf(client_->SendHello(*hello).status()), Reason::kEncReused);
}

TEST_F(AdversaryTest, AHelloForAnotherManifestIsRefused) {
  auto hello = client_->MakeHello();
  ASSERT_TRUE(hello.ok());
  hello->mutable_manifest_digest()->at(0) = static_cast<char>(hello->manifest_digest()[0] ^ 1);
  EXPECT_EQ(ReasonOf(client_->SendHello(*hello).status()), Reason::kStaleManifest);
}

TEST_F(AdversaryTest, AWrongNonceLengthIsRefused) {
  EXPECT_EQ(ReasonOf(client_->GetEvidence(Bytes(31)).status()), Reason::kBadNonce);
  EXPECT_EQ(ReasonOf(client_->GetEvidence({}).status()), Reason::kBadNonce);
}

TEST_F(AdversaryTest, MalformedPlaintextIsAnsweredSealedAndAtTheSameLength) {
  const channel::SealedRequest good = Sealed();
  const auto good_answer = client_->Send(good);
  ASSERT_TRUE(good_answer.ok());
  Bytes plaintext(picture_.size() + channel::kRequestHeaderSize, 0xEE);
  const auto bad = client_->initiator().Seal(kModel, plaintext);
  ASSERT_TRUE(bad.ok());
  const auto bad_answer = client_->Send(*bad);
  ASSERT_TRUE(bad_answer.ok()) << "what depends on the plaintext must not show outside";
  EXPECT_EQ(bad_answer->ciphertext.size(), good_answer->ciphertext.size());
  const auto opened = client_->Open(*bad, *bad_answer);
  ASSERT_TRUE(opened.ok());
  const auto view = channel::ParseAnswer(opened->Expose(), opened->size() - channel::kAnswerHeaderSize);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(ReasonOf(view->status), Reason::kBadInput);
}

TEST(AdversarySessionTest, AReplayAfterTheSessionWasEvictedIsRefused) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only", "sessions: {idle_timeout: 1s}\n");
  ASSERT_NE(cluster, nullptr);
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  const Bytes picture(size_t{3} * 32 * 32, 7);
  const auto request = client.Seal(channel::RequestKind::kPicture, picture, kModel);
  ASSERT_TRUE(request.ok());
  ASSERT_TRUE(client.Send(*request).ok());
  // Replays do not keep a session alive: it goes, and the replay is refused all along.
  Reason reason = Reason::kUnspecified;
  EXPECT_TRUE(testing::WaitFor([&] {
    reason = ReasonOf(client.Send(*request).status());
    return reason != Reason::kReplayed;
  }));
  EXPECT_EQ(reason, Reason::kUnknownSession);
}

TEST(AdversarySessionTest, AnExpiredKeyOpensNoSession) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only", "sessions: {rotate_after: 2s, grace: 1s}\n");
  ASSERT_NE(cluster, nullptr);
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  Reason reason = Reason::kUnspecified;
  EXPECT_TRUE(testing::WaitFor([&] {
    const auto hello = client.MakeHello();
    reason = ReasonOf(client.SendHello(*hello).status());
    return reason != Reason::kUnspecified;
  }));
  EXPECT_EQ(reason, Reason::kUnknownKey);
}

TEST(AdversaryEvidenceTest, EvidenceOfAnEnclaveWithAnotherSignerIsRefused) {
  const std::unique_ptr<Cluster> honest = StartCluster("enclave-only");
  const std::unique_ptr<Cluster> impostor = StartCluster("enclave-only");
  ASSERT_NE(honest, nullptr);
  ASSERT_NE(impostor, nullptr);
  const testing::CommandResult result =
      testing::RunCommand({testing::BinDir() + "/shoji", "verify", "--server", impostor->address(), "--plaintext",
                           "--allow-simulated", "--simulated-key", honest->signer_public_key_file()});
  EXPECT_EQ(result.exit_code, 3) << result.out << result.err;
  EXPECT_THAT(result.out + result.err, HasSubstr("signer"));
}

TEST(AdversaryReloadTest, ASessionIsStaleAfterAReloadAndItsClientRefusesAWeakerPolicy) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only");
  ASSERT_NE(cluster, nullptr);
  RawClient raw(cluster->address());
  ASSERT_TRUE(raw.Attest(kModel).ok());
  const Bytes picture(size_t{3} * 32 * 32, 7);
  const auto before = raw.Seal(channel::RequestKind::kPicture, picture, kModel);
  ASSERT_TRUE(before.ok());
  const auto session = cluster->OpenSession();
  ASSERT_TRUE(session.ok()) << session.status();

  cluster->WritePolicy(kModel, testing::ReadyPolicy("open"));
  ASSERT_TRUE(cluster->Reload()) << cluster->Logs();
  ASSERT_TRUE(cluster->WaitServing());
  EXPECT_TRUE(testing::WaitFor([&] { return ReasonOf(raw.Send(*before).status()) == Reason::kStaleManifest; }));

  const Tensor pixels(DataType::kFloat32, Shape({1, 3, 32, 32}));
  const std::array<Tensor, 1> inputs = {pixels.Clone()};
  const RealClock clock;
  const auto answer = (*session)->Infer(inputs, clock.SteadyNow() + std::chrono::seconds(20));
  ASSERT_FALSE(answer.ok());
  EXPECT_TRUE(client::IsRefusal(answer.status())) << answer.status();
}

TEST(AdversaryReloadTest, AReloadOfTheSameFilesKeepsTheManifestAndItsSessions) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only");
  ASSERT_NE(cluster, nullptr);
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  const Bytes picture(size_t{3} * 32 * 32, 7);
  for (int i = 0; i < 2; ++i) {
    const absl::Status answered = client.Roundtrip(channel::RequestKind::kPicture, picture, kModel);
    ASSERT_TRUE(answered.ok()) << "in the same session: " << answered;
    ASSERT_TRUE(cluster->Reload()) << cluster->Logs();
  }
  EXPECT_THAT(cluster->enclave().Log(), HasSubstr("manifest=unchanged"));
  EXPECT_THAT(cluster->Logs(), ::testing::Not(HasSubstr("STALE_MANIFEST")));
  // And what changes something renews it.
  cluster->WritePolicy(kModel, testing::ReadyPolicy("open"));
  ASSERT_TRUE(cluster->Reload()) << cluster->Logs();
  EXPECT_THAT(cluster->enclave().Log(), HasSubstr("manifest=renewed"));
  const auto sealed = client.Seal(channel::RequestKind::kPicture, picture, kModel);
  ASSERT_TRUE(sealed.ok());
  EXPECT_TRUE(testing::WaitFor([&] { return ReasonOf(client.Send(*sealed).status()) == Reason::kStaleManifest; }));
}

TEST(AdversaryReloadTest, ABadReloadLeavesTheOldStateInForce) {
  const std::unique_ptr<Cluster> cluster = StartCluster("enclave-only");
  ASSERT_NE(cluster, nullptr);
  RawClient client(cluster->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  cluster->WritePolicy(kModel, "model: cifar10_resnet\nsegments: [{from: nowhere, place: open}]\n");
  EXPECT_FALSE(cluster->Reload());
  EXPECT_TRUE(client.Roundtrip(channel::RequestKind::kPicture, Bytes(size_t{3} * 32 * 32, 7), kModel).ok());
}

}  // namespace
}  // namespace shoji
