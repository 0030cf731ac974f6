// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/appraisal/policy_verifier.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/attest/amd_pki.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::attest {
namespace {

using testing::AttestationVector;
using testing::AttestationVectorPath;
using testing::DetailOf;
using testing::FailedSteps;
using ::testing::HasSubstr;
using testing::kVectorTime;

// Accepts the genuine evidence of each kind, whatever it measures.
AppraisalPolicy AnyGenuine() {
  AppraisalPolicy policy;
  policy.sgx.emplace().unpinned = Unpinned::kAccepted;
  policy.sgx->tcb.accepted.insert(intel::TcbStatus::kConfigurationAndSwHardeningNeeded);
  policy.tdx.emplace().unpinned = Unpinned::kAccepted;
  policy.sev_snp.emplace().unpinned = Unpinned::kAccepted;
  policy.sev_snp->minimum_tcb[sev_snp::Product::kMilan] = {};
  policy.sev_snp->missing_revocation_list = sev_snp::MissingList::kAccepted;
  policy.intel_collateral = {{AttestationVectorPath("dcapqvl_sgx_quote_v3.collateral.json")},
                             {AttestationVectorPath("dcapqvl_tdx_quote.collateral.json")}};
  policy.amd_collateral = {{AttestationVectorPath("virtee_vcek_milan.der")}};
  return policy;
}

struct Genuine {
  Evidence evidence;
  ReportData report_data = {};
};

Genuine Vector(EvidenceKind kind, const std::string& name, ptrdiff_t offset) {
  Genuine out = {{kind, AttestationVector(name)}, {}};
  std::copy_n(out.evidence.data.begin() + offset, out.report_data.size(), out.report_data.begin());
  return out;
}

std::vector<Genuine> AllGenuine() {
  return {Vector(EvidenceKind::kSgx, "dcapqvl_sgx_quote_v3.bin", 0x170),
          Vector(EvidenceKind::kTdx, "dcapqvl_tdx_quote.bin", 0x238),
          Vector(EvidenceKind::kSevSnp, "virtee_report_milan.bin", 0x50)};
}

TEST(PolicyVerifierTest, AcceptsEveryKindThatThePolicyNames) {
  const auto verifier = PolicyVerifier::Load(AnyGenuine());
  ASSERT_TRUE(verifier.ok()) << verifier.status();
  for (const Genuine& genuine : AllGenuine()) {
    const AttestationResult result = (*verifier)->Appraise(genuine.evidence, genuine.report_data, kVectorTime);
    EXPECT_TRUE(result.accepted()) << NameOf(genuine.evidence.kind) << ": " << result.ToStatus();
    EXPECT_EQ(result.kind, genuine.evidence.kind);
  }
}

TEST(PolicyVerifierTest, RefusesEvidenceOfAnyKindOfferedAsAnyOther) {
  const auto verifier = PolicyVerifier::Load(AnyGenuine());
  ASSERT_TRUE(verifier.ok());
  for (Genuine genuine : AllGenuine()) {
    const EvidenceKind own = genuine.evidence.kind;
    for (const EvidenceKind kind :
         {EvidenceKind::kSimulated, EvidenceKind::kSgx, EvidenceKind::kTdx, EvidenceKind::kSevSnp}) {
      genuine.evidence.kind = kind;
      EXPECT_EQ((*verifier)->Appraise(genuine.evidence, genuine.report_data, kVectorTime).accepted(), kind == own);
    }
  }
}

TEST(PolicyVerifierTest, RefusesKindsThatThePolicyDoesNotNameAndSaysWhichItDoes) {
  AppraisalPolicy policy = AnyGenuine();
  policy.sgx.reset();
  const auto verifier = PolicyVerifier::Load(policy);
  ASSERT_TRUE(verifier.ok());
  const Genuine sgx = AllGenuine()[0];
  const AttestationResult result = (*verifier)->Appraise(sgx.evidence, sgx.report_data, kVectorTime);
  EXPECT_EQ(FailedSteps(result), "kind");
  EXPECT_EQ(DetailOf(result, "kind"), "found sgx; expected tdx or sev-snp, as the policy says");
}

TEST(PolicyVerifierTest, RefusesSimulatedEvidenceUnderItsOwnNameAndRelabelled) {
  const auto verifier = PolicyVerifier::Load(AnyGenuine());
  ASSERT_TRUE(verifier.ok());
  Bytes simulated = ToBytes("SHOJISIM");
  simulated.resize(5000, 1);
  for (const EvidenceKind kind :
       {EvidenceKind::kSimulated, EvidenceKind::kSgx, EvidenceKind::kTdx, EvidenceKind::kSevSnp}) {
    EXPECT_FALSE((*verifier)->Appraise({kind, simulated}, {}, kVectorTime).accepted());
  }
}

TEST(PolicyVerifierTest, CollateralThatCannotBeReadIsNamed) {
  AppraisalPolicy policy = AnyGenuine();
  policy.intel_collateral = {{"/nowhere/intel"}};
  EXPECT_THAT(std::string(PolicyVerifier::Load(policy).status().message()), HasSubstr("/nowhere/intel"));
  policy = AnyGenuine();
  policy.amd_collateral = {{AttestationVectorPath("README.md")}};
  EXPECT_THAT(std::string(PolicyVerifier::Load(policy).status().message()), HasSubstr("README.md"));
}

TEST(CollateralServicesTest, OnlyEncryptedAddressesAndThisMachinesAreServices) {
  for (const char* good :
       {"https://api.trustedservices.intel.com", "https://pccs.example:8081/a/b", "https://[2001:db8::1]:1",
        "http://127.0.0.1", "http://localhost:8081/x", "http://[::1]:80"}) {
    EXPECT_TRUE(CheckServiceUrl(good).ok()) << good;
  }
  const std::pair<const char*, const char*> bad[] = {
      {"", "is no address"},
      {"intel.example", "is no address"},
      {"ftp://intel.example", "is no address"},
      {"file:///etc/passwd", "is no address"},
      {"HTTP://intel.example", "is no address"},
      {"https://", "names no host"},
      {"https:///path", "names no host"},
      {"https://:443", "names no host"},
      {"https://a:", "names no host"},
      {"https://a:b", "names no host"},
      {"https://[::1", "names no host"},
      {"https://user@host", "holds a character"},
      {"https://host/?a", "holds a character"},
      {"https://host/#a", "holds a character"},
      {"https://ho st", "holds a character"},
      {"http://pccs.example", "is not encrypted"},
      {"http://127.0.0.1.example", "is not encrypted"},
      {"http://127.0.0.2", "is not encrypted"},
      {"http://localhost.example:80", "is not encrypted"},
      {"http://user@127.0.0.1", "holds a character"},
  };
  for (const auto& [url, error] : bad) {
    EXPECT_THAT(std::string(CheckServiceUrl(url).message()), HasSubstr(error)) << url;
    AppraisalPolicy policy = AnyGenuine();
    policy.services.cache_directory = "/cache";
    policy.services.amd_url = url;
    EXPECT_EQ(CheckAppraisalPolicy(policy).ok(), std::string(url).empty()) << url;
  }
}

TEST(CollateralServicesTest, WhatIsFetchedNeedsAFolder) {
  AppraisalPolicy policy = AnyGenuine();
  policy.services.intel_url = "https://intel.example";
  EXPECT_THAT(std::string(CheckAppraisalPolicy(policy).message()), HasSubstr("collateral.cache_directory"));
  policy.services.cache_directory = "/cache";
  EXPECT_TRUE(CheckAppraisalPolicy(policy).ok());
  policy.services.intel_url = "";
  policy.services.intel_root_crl_url = "https://intel.example/root";
  EXPECT_THAT(std::string(CheckAppraisalPolicy(policy).message()), HasSubstr("goes with collateral.intel_url"));
}

TEST(CollateralServicesTest, TheRootsListIsBesideTheRestButAtIntelItself) {
  CollateralServices services;
  services.intel_url = "https://api.trustedservices.intel.com/";
  EXPECT_EQ(RootCrlUrl(services), "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");
  services.intel_url = "https://pccs.example/x/";
  EXPECT_EQ(RootCrlUrl(services), "https://pccs.example/x/sgx/certification/v4/rootcacrl");
  services.intel_root_crl_url = "https://other.example/r";
  EXPECT_EQ(RootCrlUrl(services), "https://other.example/r");
}

TEST(PolicyVerifierTest, APolicyThatAcceptsNothingIsRefused) {
  EXPECT_FALSE(PolicyVerifier::Create({}).ok());
  AppraisalPolicy policy = AnyGenuine();
  policy.tdx->unpinned = Unpinned::kRefused;
  EXPECT_FALSE(PolicyVerifier::Load(policy).ok());
}

class AppraiseModelTest : public ::testing::Test {
 protected:
  AppraiseModelTest() {
    model_.name = "m";
    model_.model_digest.fill(1);
    model_.plan_digest.emplace().fill(2);
    model_.opened_from = {"c", "e"};
    model_.unopened_before = {"a", "b", "c"};
    model_.all_verified = true;
    policy_.models = {{.name = "m", .model_digests = {}, .plan_digests = {}, .nothing_opened_before = ""}};
  }
  std::string Failed() const {
    StepList steps;
    AppraiseModel(policy_, model_, steps);
    AttestationResult result;
    result.steps = steps.Take();
    return FailedSteps(result);
  }

  AppraisalPolicy policy_;
  ModelStatement model_;
};

TEST_F(AppraiseModelTest, AcceptsAnyModelWhereThePolicyListsNone) {
  model_.name = "other";
  EXPECT_EQ(Failed(), "model");
  policy_.models.clear();
  EXPECT_EQ(Failed(), "");
}

TEST_F(AppraiseModelTest, PinsDigestsOfModelAndPlan) {
  digest::Sha256Digest other = {};
  policy_.models[0].model_digests = {other};
  EXPECT_EQ(Failed(), "model digest");
  policy_.models[0].model_digests = {other, model_.model_digest};
  EXPECT_EQ(Failed(), "");
  policy_.models[0].plan_digests = {other};
  EXPECT_EQ(Failed(), "plan digest");
  policy_.models[0].plan_digests = {*model_.plan_digest};
  EXPECT_EQ(Failed(), "");
}

TEST_F(AppraiseModelTest, RefusesWhatOpensBeforeTheNode) {
  for (const char* closed : {"a", "b", "c"}) {
    policy_.models[0].nothing_opened_before = closed;
    EXPECT_EQ(Failed(), "") << closed;
  }
  for (const char* later : {"d", "e", "z"}) {
    policy_.models[0].nothing_opened_before = later;
    EXPECT_EQ(Failed(), "opened segments") << later;
  }
  model_.opened_from.clear();
  EXPECT_EQ(Failed(), "");
}

TEST_F(AppraiseModelTest, RefusesWhatIsNotStated) {
  policy_.models[0].nothing_opened_before = "b";
  policy_.models[0].verification = Verification::kRequired;
  EXPECT_EQ(Failed(), "");
  model_.unopened_before.clear();
  EXPECT_EQ(Failed(), "opened segments");
  model_.all_verified = false;
  EXPECT_EQ(Failed(), "opened segments, verification");
}

TEST_F(AppraiseModelTest, RefusesUncheckedAnswersWhereVerificationIsRequired) {
  model_.all_verified = false;
  EXPECT_EQ(Failed(), "");
  policy_.models[0].verification = Verification::kRequired;
  EXPECT_EQ(Failed(), "verification");
}

TEST_F(AppraiseModelTest, RefusesAPinnedPlanThatIsNotResolvedYet) {
  model_.plan_digest.reset();
  EXPECT_EQ(Failed(), "");
  policy_.models[0].plan_digests = {digest::Sha256Digest()};
  EXPECT_EQ(Failed(), "plan digest");
}

TEST_F(AppraiseModelTest, JudgesAnAwaitedModelByWhatIsCertainOfItsPlan) {
  AwaitedModel awaited = {"m", {}, {{"from the input", "enclave", false}, {"from `fc`", "enclave", true}}};
  awaited.sealed_digest.fill(9);
  policy_.models[0].model_digests = {awaited.sealed_digest};
  policy_.models[0].nothing_opened_before = "fc";
  policy_.models[0].verification = Verification::kRequired;
  model_ = StatementOf(awaited);
  EXPECT_EQ(Failed(), "");
  awaited.plan[0].place = "blinded";  // which may go unchecked
  model_ = StatementOf(awaited);
  EXPECT_EQ(Failed(), "verification");
  awaited.plan[0].place = "verified";  // which shows the features
  model_ = StatementOf(awaited);
  EXPECT_EQ(Failed(), "opened segments");
  awaited.plan[0].place = "open";
  model_ = StatementOf(awaited);
  EXPECT_EQ(Failed(), "opened segments, verification");
  awaited.plan.clear();
  model_ = StatementOf(awaited);
  EXPECT_EQ(Failed(), "opened segments, verification");
  awaited.sealed_digest.fill(8);
  model_ = StatementOf(awaited);
  EXPECT_EQ(Failed(), "model digest, opened segments, verification");
}

TEST(StatementTest, TakesWhatTheManifestStates) {
  ModelManifest manifest;
  manifest.name = "m";
  manifest.plan_digest.fill(3);
  manifest.opened = {{"x", "z", {}, {}}};
  manifest.unopened_before = {"u", "v"};
  manifest.all_verified = true;
  const ModelStatement statement = StatementOf(manifest);
  EXPECT_EQ(statement.name, "m");
  EXPECT_EQ(statement.plan_digest, manifest.plan_digest);
  EXPECT_THAT(statement.opened_from, ::testing::ElementsAre("x"));
  EXPECT_THAT(statement.unopened_before, ::testing::ElementsAre("u", "v"));
  EXPECT_TRUE(statement.all_verified);
}

}  // namespace
}  // namespace shoji::attest
