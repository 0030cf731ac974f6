// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/release.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/appraisal_file/appraisal_file.h"
#include "lib/base/reason.h"
#include "lib/sealed_model/seal.h"
#include "tests/support/genuine_evidence.h"
#include "tests/support/process.h"
#include "tests/unit/client/fake_server.h"

namespace shoji::client {
namespace {

using ::testing::HasSubstr;

class KeyReleaserTest : public ::testing::Test {
 protected:
  KeyReleaserTest() {
    const sealed_model::OwnerKey owner = sealed_model::NewOwnerKey();
    EXPECT_TRUE(sealed_model::SealModel({.label = "m", .confidential = {}, .results = {}, .queries_per_release = 3},
                                        owner, AsBytes("a model"), path_)
                    .ok());
    file_.emplace(*sealed_model::SealedFile::Open(path_));
    key_.emplace(*file_->KeyFrom(owner));
    server_.Restart(Awaiting());
  }

  FakeModel Awaiting() const {
    FakeModel model = MakeFakeModel();
    attest::AwaitedModel awaited;
    awaited.name = "secret";
    awaited.sealed_digest = file_->digest();
    model.awaited = {awaited};
    return model;
  }
  FakeModel Serving(uint64_t queries) const {
    FakeModel model = MakeFakeModel();
    model.manifest.model_digest = file_->digest();
    model.manifest.sealed = {attest::ResultRule(), queries};
    return model;
  }
  std::unique_ptr<KeyReleaser> Releaser(SimulatedEvidence simulated = SimulatedEvidence::kAllow,
                                        std::unique_ptr<Transport> transport = nullptr) {
    KeyReleaser::Options options;
    options.appraisal.simulated = simulated;
    options.appraisal.policy = policy_;
    options.appraisal.simulated_signers = {server_.signer.public_key()};
    options.clock = &server_.clock;
    options.wait = [this](std::chrono::milliseconds time) { server_.clock.Advance(time); };
    options.warn = [this](const std::string& warning) {
      ++num_warnings_;
      last_warning_ = warning;
    };
    server_.on_release = [this](const channel::KeyRelease& release) {
      ++num_released_;
      last_nonce_ = release.nonce;
      last_manifest_ = release.manifest_digest;
      EXPECT_EQ(release.sealed_digest, file_->digest());
      EXPECT_TRUE(std::ranges::equal(release.file_key.Expose(), key_->Expose()));
      return outcome_;
    };
    if (transport == nullptr) {
      transport = std::make_unique<FakeTransport>(server_);
    }
    auto releaser = KeyReleaser::Create(std::move(options), std::move(transport), *file_, *key_);
    EXPECT_TRUE(releaser.ok()) << releaser.status();
    return *std::move(releaser);
  }
  SteadyTime Deadline() { return server_.clock.SteadyNow() + std::chrono::seconds(5); }

  const testing::TempDir dir_;
  const std::string path_ = dir_.File("m.sealed");
  FakeServer server_;
  std::optional<sealed_model::SealedFile> file_;
  std::optional<sealed_model::FileKey> key_;
  std::optional<attest::AppraisalPolicy> policy_;
  absl::Status outcome_;
  int num_released_ = 0;
  int num_warnings_ = 0;
  std::string last_warning_;
  channel::ReleaseNonce last_nonce_ = {};
  channel::ManifestDigest last_manifest_ = {};
};

TEST_F(KeyReleaserTest, ReleasesToAnEnclaveThatAwaitsTheKeyBoundToWhatWasAppraised) {
  const auto releaser = Releaser();
  const auto state = releaser->Attest(Deadline());
  ASSERT_TRUE(state.ok()) << state.status();
  ASSERT_EQ(state->awaited.size(), 1U);
  EXPECT_FALSE(state->served.has_value());
  ASSERT_TRUE(releaser->Release(*state, Deadline()).ok());
  EXPECT_EQ(num_released_, 1);
  EXPECT_EQ(last_manifest_, state->appraisal.manifest_digest);
  const channel::ReleaseNonce first = last_nonce_;
  const auto again = releaser->Attest(Deadline());
  ASSERT_TRUE(releaser->Release(*again, Deadline()).ok());
  EXPECT_NE(last_nonce_, first) << "a nonce of its own for every evidence";
  EXPECT_EQ(num_warnings_, 1);
}

TEST_F(KeyReleaserTest, NothingLeavesWhereEvidenceIsRefused) {
  const auto refused = Releaser(SimulatedEvidence::kRefuse)->Attest(Deadline());
  EXPECT_TRUE(IsRefusal(refused.status())) << refused.status();
  server_.on_evidence = [](EvidenceReply& reply) { reply.manifest.back() ^= 1; };
  EXPECT_TRUE(IsRefusal(Releaser()->Attest(Deadline()).status()));
  EXPECT_EQ(num_released_, 0);
  EXPECT_EQ(server_.num_sessions, 0);
}

TEST_F(KeyReleaserTest, NothingLeavesWhereThePolicyDoesNotAllowTheModelAwaitedOrServed) {
  policy_ = *appraisal_file::ParseAppraisalPolicy(
      testing::GenuineSnp().policy + "models: [{name: secret, model_digests: [" + HexEncode(file_->digest()) + "]}]\n",
      "/policy.yaml");
  EXPECT_TRUE(Releaser()->Attest(Deadline()).ok());
  policy_->models[0].model_digests[0][0] ^= 1;
  const absl::Status awaited = Releaser()->Attest(Deadline()).status();
  EXPECT_TRUE(IsRefusal(awaited));
  EXPECT_THAT(std::string(awaited.message()), HasSubstr("step 'model digest' of model 'secret'"));

  server_.Restart(Serving(3));
  const absl::Status served = Releaser()->Attest(Deadline()).status();
  EXPECT_TRUE(IsRefusal(served));
  EXPECT_THAT(std::string(served.message()), HasSubstr("step 'model' of model 'pets'"));
  EXPECT_EQ(num_released_, 0);
  EXPECT_EQ(server_.num_sessions, 0);
}

TEST_F(KeyReleaserTest, OldEvidenceIsRefused) {
  const EvidenceReply old = server_.MakeEvidence({});
  server_.on_evidence = [&](EvidenceReply& reply) { reply = old; };
  EXPECT_TRUE(IsRefusal(Releaser()->Attest(Deadline()).status()));
}

TEST_F(KeyReleaserTest, AnEnclaveThatServesTheModelRenewsItsBudget) {
  server_.Restart(Serving(3));
  const auto releaser = Releaser();
  const auto state = releaser->Attest(Deadline());
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(state->served.has_value());
  EXPECT_TRUE(releaser->Release(*state, Deadline()).ok());
}

TEST_F(KeyReleaserTest, AnEnclaveThatStatesOtherTermsThanTheOwnersIsRefused) {
  server_.Restart(Serving(4));
  const absl::Status status = Releaser()->Attest(Deadline()).status();
  EXPECT_TRUE(IsRefusal(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("other terms"));
}

TEST_F(KeyReleaserTest, AnEnclaveWithoutTheModelGetsNothing) {
  server_.Restart(MakeFakeModel());
  EXPECT_EQ(ReasonOf(Releaser()->Attest(Deadline()).status()), Reason::kUnknownSealedModel);
}

TEST_F(KeyReleaserTest, WhatTheEnclaveSaysOfTheReleaseComesThrough) {
  for (const Reason reason : {Reason::kWrongModelKey, Reason::kModelRefused, Reason::kReplayed}) {
    outcome_ = ErrorOf(reason);
    const auto releaser = Releaser();
    EXPECT_EQ(ReasonOf(releaser->Release(*releaser->Attest(Deadline()), Deadline())), reason);
  }
}

TEST_F(KeyReleaserTest, AForgedAcknowledgementIsNone) {
  server_.on_answer = [](channel::SealedAnswer& answer) { answer.ciphertext.back() ^= 1; };
  const auto releaser = Releaser();
  EXPECT_EQ(ReasonOf(releaser->Release(*releaser->Attest(Deadline()), Deadline())), Reason::kOpenFailed);
}

TEST_F(KeyReleaserTest, NothingIsSentToOneWhoDoesNotHoldTheAttestedKey) {
  server_.on_session = [](SessionReply& reply) { reply.hello.ciphertext.back() ^= 1; };
  const auto releaser = Releaser();
  EXPECT_EQ(ReasonOf(releaser->Release(*releaser->Attest(Deadline()), Deadline())), Reason::kOpenFailed);
  EXPECT_EQ(num_released_, 0);
}

TEST_F(KeyReleaserTest, AManifestThatChangedMeanwhileStopsTheRelease) {
  const auto releaser = Releaser();
  const auto state = releaser->Attest(Deadline());
  ASSERT_TRUE(state.ok());
  server_.Reload(Awaiting());
  EXPECT_EQ(ReasonOf(releaser->Release(*state, Deadline())), Reason::kStaleManifest);
  EXPECT_EQ(num_released_, 0);
}

// Takes one call in half a second, as a front end does for a token with `rate=2 burst=1`.
class RatedTransport final : public FakeTransport {
 public:
  explicit RatedTransport(FakeServer& server) : FakeTransport(server), clock_(server.clock) {}

  absl::StatusOr<EvidenceReply> GetSealedModelEvidence(const attest::Nonce& nonce,
                                                       const digest::Sha256Digest& sealed_digest,
                                                       SteadyTime deadline) override {
    return Takes() ? FakeTransport::GetSealedModelEvidence(nonce, sealed_digest, deadline)
                   : ErrorOf(Reason::kOverloaded);
  }
  absl::StatusOr<SessionReply> OpenSession(const SessionOffer& offer, SteadyTime deadline) override {
    return Takes() ? FakeTransport::OpenSession(offer, deadline) : ErrorOf(Reason::kOverloaded);
  }
  absl::StatusOr<channel::SealedAnswer> ReleaseKey(const channel::SealedRequest& request,
                                                   SteadyTime deadline) override {
    return Takes() ? FakeTransport::ReleaseKey(request, deadline) : ErrorOf(Reason::kOverloaded);
  }

 private:
  bool Takes() {
    const bool takes = clock_.SteadyNow() >= next_;
    next_ = takes ? clock_.SteadyNow() + std::chrono::milliseconds(500) : next_;
    return takes;
  }

  const Clock& clock_;
  SteadyTime next_;
};

TEST_F(KeyReleaserTest, ATokenThatMayMakeOneCallAtATimeReleasesOverOneEvidenceAndOneSession) {
  const auto releaser = Releaser(SimulatedEvidence::kAllow, std::make_unique<RatedTransport>(server_));
  const SteadyTime start = server_.clock.SteadyNow();
  const auto state = releaser->Attest(Deadline());
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(releaser->Release(*state, Deadline()).ok());
  EXPECT_EQ(num_released_, 1);
  EXPECT_EQ(server_.num_evidence, 1);
  EXPECT_EQ(server_.num_sessions, 1);
  EXPECT_LE(server_.clock.SteadyNow() - start, std::chrono::seconds(5));
}

TEST_F(KeyReleaserTest, AnEnclaveThatStaysBusyIsSaidAtTheDeadline) {
  outcome_ = ErrorOf(Reason::kOverloaded);
  const auto releaser = Releaser();
  const auto state = releaser->Attest(Deadline());
  ASSERT_TRUE(state.ok()) << state.status();
  const SteadyTime start = server_.clock.SteadyNow();
  EXPECT_EQ(ReasonOf(releaser->Release(*state, Deadline())), Reason::kOverloaded);
  EXPECT_GT(num_released_, 1);
  EXPECT_EQ(server_.num_sessions, 1);
  EXPECT_LE(server_.clock.SteadyNow() - start, std::chrono::seconds(5));
}

class NobodyThere final : public FakeTransport {
 public:
  using FakeTransport::FakeTransport;
  absl::StatusOr<EvidenceReply> GetSealedModelEvidence(const attest::Nonce& /*nonce*/,
                                                       const digest::Sha256Digest& /*sealed_digest*/,
                                                       SteadyTime /*deadline*/) override {
    return NobodyAnswers(absl::UnavailableError("nobody answers"));
  }
};

TEST_F(KeyReleaserTest, SaysAtOnceThatNobodyAnswersAndGivesUpSoon) {
  const auto releaser = Releaser(SimulatedEvidence::kAllow, std::make_unique<NobodyThere>(server_));
  const SteadyTime start = server_.clock.SteadyNow();
  const auto state = releaser->Attest(start + std::chrono::seconds(60));
  EXPECT_EQ(state.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_GE(server_.clock.SteadyNow() - start, std::chrono::seconds(5));
  EXPECT_LE(server_.clock.SteadyNow() - start, std::chrono::seconds(6));
  EXPECT_EQ(num_warnings_, 1);
  EXPECT_EQ(last_warning_, "WAITING for up to 5 s: nobody answers");
}

}  // namespace
}  // namespace shoji::client
