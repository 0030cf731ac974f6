// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/appraisal.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/evidence_file.h"
#include "lib/appraisal_file/appraisal_file.h"
#include "lib/attest/nonce_tree.h"
#include "lib/base/check.h"
#include "tests/support/genuine_evidence.h"
#include "tests/support/simulated_signer.h"

namespace shoji::client {
namespace {

using attest::EvidenceKind;
using ::testing::ElementsAre;
using testing::GenuineEvidence;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr EvidenceKind kAllKinds[] = {EvidenceKind::kSimulated, EvidenceKind::kSgx, EvidenceKind::kTdx,
                                      EvidenceKind::kSevSnp};

std::vector<GenuineEvidence> AllGenuine() {
  return {testing::GenuineSgx(), testing::GenuineTdx(), testing::GenuineSnp()};
}

const SystemTime kNow = *ParseTime(testing::kGenuineTime);

std::vector<std::string> Failed(const attest::AttestationResult& result) {
  std::vector<std::string> out;
  for (const attest::AppraisalStep& step : result.steps) {
    if (!step.passed) {
      out.push_back(step.name);
    }
  }
  return out;
}

class AppraiserTest : public ::testing::Test {
 protected:
  AppraiserTest() {
    attest::Manifest manifest;
    manifest.expires_at = kNow + std::chrono::hours(1);
    manifest_ = attest::EncodeManifest(manifest);
    nonce_.fill(5);
  }
  static AppraisalPolicy PolicyFor(const std::string& yaml) {
    const auto policy = appraisal_file::ParseAppraisalPolicy(yaml, "/policy.yaml");
    SHOJI_CHECK(policy.ok());
    AppraisalPolicy out;
    out.policy = *policy;
    return out;
  }
  AppraisalPolicy AllowingSimulated(AppraisalPolicy policy = {}) const {
    policy.simulated = SimulatedEvidence::kAllow;
    policy.simulated_signers = {signer_.public_key()};
    return policy;
  }
  Bytes Simulated(const attest::Nonce& nonce) const {
    attest::SimulatedEvidence evidence;
    evidence.report_data = attest::ReportDataFor(digest::Sha256(manifest_), nonce);
    return attest::EncodeSimulatedEvidence(signer_.Sign(evidence));
  }
  attest::AttestationResult Appraise(const AppraisalPolicy& policy, const attest::Evidence& evidence,
                                     std::optional<attest::NoncePath> path = std::nullopt) const {
    const auto appraiser = Appraiser::Create(policy);
    SHOJI_CHECK(appraiser.ok());
    return (*appraiser)->Appraise({manifest_, evidence, std::move(path)}, nonce_, kNow).result;
  }

  const testing::SimulatedSigner signer_;
  Bytes manifest_;
  attest::Nonce nonce_ = {};
};

TEST_F(AppraiserTest, RefusesEvidenceOfATeeWithoutAPolicyAndSaysThatOneIsNeeded) {
  for (const GenuineEvidence& genuine : AllGenuine()) {
    for (const AppraisalPolicy& policy : {AppraisalPolicy(), AllowingSimulated()}) {
      const attest::AttestationResult result = Appraise(policy, genuine.Read());
      ASSERT_THAT(Failed(result), ElementsAre("evidence kind"));
      EXPECT_THAT(result.steps.back().detail, HasSubstr("expected an appraisal policy"));
      EXPECT_THAT(result.steps.back().remedy, HasSubstr("--policy"));
    }
  }
}

TEST_F(AppraiserTest, RefusesGenuineEvidenceThatIsNotForThisManifestAndNonceAndNothingElseOfIt) {
  for (const GenuineEvidence& genuine : AllGenuine()) {
    const attest::AttestationResult result = Appraise(PolicyFor(genuine.policy), genuine.Read());
    EXPECT_THAT(Failed(result), ElementsAre("report data")) << attest::NameOf(genuine.kind);
    EXPECT_THAT(result.claims, ::testing::Not(IsEmpty()));
    EXPECT_THAT(std::string(result.ToStatus().message()), HasSubstr("refused at step 'report data': found"));
  }
}

TEST_F(AppraiserTest, RefusesGenuineEvidenceOfWhatThePolicyDoesNotPin) {
  for (const GenuineEvidence& genuine : AllGenuine()) {
    EXPECT_THAT(Failed(Appraise(PolicyFor(genuine.PolicyForAnother()), genuine.Read())),
                ElementsAre("measurement", "report data"));
  }
}

TEST_F(AppraiserTest, RefusesGenuineEvidenceUnderAnyOtherName) {
  for (const GenuineEvidence& genuine : AllGenuine()) {
    attest::Evidence evidence = genuine.Read();
    for (const GenuineEvidence& other : AllGenuine()) {
      for (const EvidenceKind kind : kAllKinds) {
        evidence.kind = kind;
        const attest::AttestationResult result = Appraise(AllowingSimulated(PolicyFor(other.policy)), evidence);
        EXPECT_FALSE(result.accepted());
        if (kind != genuine.kind) {
          EXPECT_THAT(Failed(result).front(), ::testing::AnyOf("kind", "structure"));
        }
      }
    }
  }
}

TEST_F(AppraiserTest, RefusesSimulatedEvidenceRelabelledAsReal) {
  const Bytes simulated = Simulated(nonce_);
  EXPECT_THAT(Failed(Appraise(AllowingSimulated(), {EvidenceKind::kSimulated, simulated})), IsEmpty());
  for (const GenuineEvidence& genuine : AllGenuine()) {
    const AppraisalPolicy policy = AllowingSimulated(PolicyFor(genuine.policy));
    EXPECT_THAT(Failed(Appraise(policy, {genuine.kind, simulated})), ElementsAre("structure"));
    EXPECT_THAT(Failed(Appraise(AllowingSimulated(), {genuine.kind, simulated})), ElementsAre("evidence kind"));
  }
}

TEST_F(AppraiserTest, APolicyDoesNotAllowSimulatedEvidence) {
  const AppraisalPolicy policy = PolicyFor(testing::GenuineSnp().policy);
  EXPECT_THAT(Failed(Appraise(policy, {EvidenceKind::kSimulated, Simulated(nonce_)})), ElementsAre("evidence kind"));
}

TEST_F(AppraiserTest, AcceptsSharedEvidenceByItsPathAndByNoOther) {
  const attest::Nonce other = {1};
  const attest::NonceTree tree = attest::BuildNonceTree(std::vector<attest::Nonce>{other, nonce_});
  const attest::Evidence shared = {EvidenceKind::kSimulated, Simulated(tree.root)};
  EXPECT_THAT(Failed(Appraise(AllowingSimulated(), shared, tree.paths[1])), IsEmpty());
  // The other caller's path, none, and a path beside evidence that holds the nonce itself.
  EXPECT_THAT(Failed(Appraise(AllowingSimulated(), shared, tree.paths[0])), ElementsAre("report data"));
  EXPECT_THAT(Failed(Appraise(AllowingSimulated(), shared)), ElementsAre("report data"));
  const attest::Evidence own = {EvidenceKind::kSimulated, Simulated(nonce_)};
  EXPECT_THAT(Failed(Appraise(AllowingSimulated(), own, tree.paths[1])), ElementsAre("report data"));
}

TEST_F(AppraiserTest, RefusesAnExpiredManifest) {
  attest::Manifest manifest;
  manifest.expires_at = kNow;
  manifest_ = attest::EncodeManifest(manifest);
  const attest::AttestationResult result = Appraise(AllowingSimulated(), {EvidenceKind::kSimulated, Simulated(nonce_)});
  EXPECT_THAT(Failed(result), ElementsAre("expiry"));
  EXPECT_THAT(result.steps.back().detail, HasSubstr("expired at 2025-07-01"));
}

TEST_F(AppraiserTest, EvidenceAloneIsGenuineAtMostAndNeverAccepted) {
  for (const GenuineEvidence& genuine : AllGenuine()) {
    const auto appraiser = Appraiser::Create(PolicyFor(genuine.policy));
    ASSERT_TRUE(appraiser.ok());
    attest::Evidence evidence = genuine.Read();
    EXPECT_THAT(Failed((*appraiser)->AppraiseUnbound(evidence, kNow)), ElementsAre("binding"));
    evidence.data[0x40] ^= 1;
    EXPECT_THAT(Failed((*appraiser)->AppraiseUnbound(evidence, kNow)),
                ElementsAre(::testing::HasSubstr("signature"), "binding"));
    evidence.kind = EvidenceKind::kSimulated;
    EXPECT_THAT(Failed((*appraiser)->AppraiseUnbound(evidence, kNow)), ElementsAre("evidence kind", "binding"));
  }
}

TEST_F(AppraiserTest, CollateralThatCannotBeReadIsARefusalThatNamesIt) {
  AppraisalPolicy policy = PolicyFor(testing::GenuineSgx().policy);
  policy.policy->intel_collateral = {{"/nowhere/intel.json", "p.yaml:7: key 'collateral.intel[0]'"}};
  const absl::Status status = Appraiser::Create(policy).status();
  EXPECT_TRUE(IsRefusal(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("p.yaml:7: key 'collateral.intel[0]': cannot open /nowhere/intel.json"));
}

TEST_F(AppraiserTest, APolicyThatPinsTooLittleIsNotUsed) {
  AppraisalPolicy policy;
  policy.policy.emplace().sgx.emplace();
  EXPECT_EQ(Appraiser::Create(policy).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(AppraiserTest, JudgesModelsByThePolicyAndNamesTheStepAndTheModel) {
  const auto appraiser = Appraiser::Create(PolicyFor(testing::GenuineSgx().policy + "models: [{name: pets}]\n"));
  ASSERT_TRUE(appraiser.ok());
  attest::ModelManifest model;
  model.name = "pets";
  EXPECT_TRUE((*appraiser)->CheckModel(attest::StatementOf(model)).ok());
  model.name = "cars";
  const absl::Status status = (*appraiser)->CheckModel(attest::StatementOf(model));
  EXPECT_TRUE(IsRefusal(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("refused at step 'model' of model 'cars': found 'cars'"));
  const auto without = Appraiser::Create(AllowingSimulated());
  EXPECT_TRUE((*without)->CheckModel(attest::StatementOf(model)).ok());
}

}  // namespace
}  // namespace shoji::client
