// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Genuine DCAP quotes of SGX enclaves, positive and negative.

#include "lib/attest/sgx/sgx_verifier.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/attest/intel/root_key.h"
#include "tests/support/hex.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::attest {
namespace {

using intel::TcbStatus;
using testing::ArrayFromHex;
using testing::AttestationVector;
using testing::ClaimOf;
using testing::DetailOf;
using testing::FailedSteps;
using ::testing::HasSubstr;
using testing::kVectorTime;
using testing::SharedVector;
using testing::UnixTime;

constexpr const char* kMrEnclave = "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb";
constexpr const char* kMrSigner = "815f42f11cf64430c30bab7816ba596a1da0130c3b028b673133a66cf9a3e0e6";
constexpr TcbStatus kPrimaryStatus = TcbStatus::kConfigurationAndSwHardeningNeeded;

ReportData ReportDataOf(std::string_view text) {
  ReportData out = {};
  std::copy(text.begin(), text.end(), out.begin());
  return out;
}

// The first of `what`.
void Replace(Bytes& text, std::string_view what, std::string_view by) {
  const auto found = std::search(text.begin(), text.end(), what.begin(), what.end());
  ASSERT_NE(found, text.end());
  std::copy(by.begin(), by.end(), found);
}

class SgxVerifierTest : public ::testing::Test {
 protected:
  SgxVerifierTest() {
    options_.policy.enclaves = {
        {.name = "primary", .mr_enclave = ArrayFromHex<32>(kMrEnclave), .mr_signer = {}, .isv_prod_id = {}}};
    options_.policy.tcb.accepted = {TcbStatus::kUpToDate, kPrimaryStatus};
    options_.collateral = {testing::SgxCollateral()};
    options_.root_key = intel::IntelSgxRootKey();
  }
  AttestationResult Appraise(Bytes quote) {
    absl::StatusOr<std::unique_ptr<Verifier>> verifier = SgxVerifier::Create(options_);
    EXPECT_TRUE(verifier.ok()) << verifier.status();
    return (*verifier)->Appraise({kind_, std::move(quote)}, expected_, now_);
  }

  SgxVerifier::Options options_;
  EvidenceKind kind_ = EvidenceKind::kSgx;
  ReportData expected_ = ReportDataOf("Hello, world!");
  SystemTime now_ = kVectorTime;
  const Bytes primary_ = AttestationVector("dcapqvl_sgx_quote_v3.bin");
};

TEST_F(SgxVerifierTest, AcceptsTheGenuineQuote) {
  const AttestationResult result = Appraise(primary_);
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(result.steps.size(), 25U);
}

TEST_F(SgxVerifierTest, DecodesEveryField) {
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(ClaimOf(result, "quote_version"), "3");
  EXPECT_EQ(ClaimOf(result, "mr_enclave"), kMrEnclave);
  EXPECT_EQ(ClaimOf(result, "mr_signer"), kMrSigner);
  EXPECT_EQ(ClaimOf(result, "isv_prod_id"), "0");
  EXPECT_EQ(ClaimOf(result, "isv_svn"), "0");
  EXPECT_EQ(ClaimOf(result, "attributes").substr(0, 16), "0500000000000000");
  EXPECT_EQ(ClaimOf(result, "cpu_svn"), "0b0b1a18ffff04000000000000000000");
  EXPECT_EQ(ClaimOf(result, "report_data"), HexEncode(expected_));
  EXPECT_EQ(ClaimOf(result, "fmspc"), "00a067110000");
  EXPECT_EQ(ClaimOf(result, "pce_id"), "0000");
  EXPECT_EQ(ClaimOf(result, "pck_tcb_components"), "0b0b0202ff0100000000000000000000");
  EXPECT_EQ(ClaimOf(result, "pck_pce_svn"), "13");
  EXPECT_EQ(ClaimOf(result, "tcb_status"), "ConfigurationAndSWHardeningNeeded");
  EXPECT_EQ(ClaimOf(result, "advisories"), "INTEL-SA-00289, INTEL-SA-00615");
  EXPECT_EQ(ClaimOf(result, "qe_tcb_status"), "UpToDate");
}

TEST_F(SgxVerifierTest, HoldsExactlyWhileItsCollateralDoes) {
  const SystemTime first = UnixTime(1750330571);  // 2025-06-19T10:56:11Z
  const SystemTime last = UnixTime(1752919278);   // 2025-07-19T10:01:18Z
  now_ = first;
  EXPECT_TRUE(Appraise(primary_).accepted());
  now_ = last;
  EXPECT_TRUE(Appraise(primary_).accepted());
  now_ = first - std::chrono::seconds(1);
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "tcb info validity");
  now_ = last + std::chrono::seconds(1);
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "qe identity validity");
}

TEST_F(SgxVerifierTest, RefusesExpiredCollateralAndSaysHowToRenewIt) {
  now_ = UnixTime(1795132800);  // 2026-11-20
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(FailedSteps(result),
            "root revocation list, pck revocation list, revocation, qe identity validity, tcb info validity");
  EXPECT_THAT(DetailOf(result, "tcb info validity"), HasSubstr("2025-07-19T10:56:11Z, not at 2026-11-20T00:00:00Z"));
  for (const AppraisalStep& step : result.steps) {
    EXPECT_TRUE(step.passed || step.remedy.find("fetch current collateral") == 0) << step.name;
  }
}

TEST_F(SgxVerifierTest, RefusesExpiredCertificates) {
  now_ = UnixTime(1916265600);  // 2030-09-22
  EXPECT_THAT(FailedSteps(Appraise(primary_)), HasSubstr("certificate validity"));
}

TEST_F(SgxVerifierTest, RefusesAnotherReportDataAndShowsBoth) {
  expected_ = ReportDataOf("Hello, World!");
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(FailedSteps(result), "report data");
  EXPECT_THAT(DetailOf(result, "report data"), HasSubstr(HexEncode(expected_)));
}

TEST_F(SgxVerifierTest, RefusesAStatusThatThePolicyDoesNotAccept) {
  options_.policy.tcb.accepted = {TcbStatus::kUpToDate};
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(FailedSteps(result), "tcb status");
  EXPECT_THAT(DetailOf(result, "tcb status"), HasSubstr("INTEL-SA-00289"));
  options_.policy.tcb.accepted = {kPrimaryStatus};
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "qe tcb status");
}

TEST_F(SgxVerifierTest, RefusesCollateralOlderThanThePolicyAllows) {
  options_.policy.tcb.maximum_collateral_age = std::chrono::hours(24 * 12);
  EXPECT_TRUE(Appraise(primary_).accepted());
  options_.policy.tcb.maximum_collateral_age = std::chrono::hours(24 * 11);
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "collateral age");
}

TEST_F(SgxVerifierTest, RefusesCollateralOfAnEarlierEvaluation) {
  options_.policy.tcb.minimum_evaluation_data_number = 17;
  EXPECT_TRUE(Appraise(primary_).accepted());
  options_.policy.tcb.minimum_evaluation_data_number = 18;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "tcb evaluation");
}

TEST_F(SgxVerifierTest, MatchesAnyOfSeveralReferencesWithAllTheirFields) {
  SgxReference other = options_.policy.enclaves[0];
  other.name = "other";
  other.mr_enclave->front() ^= 1;
  options_.policy.enclaves.insert(options_.policy.enclaves.begin(), other);
  EXPECT_THAT(DetailOf(Appraise(primary_), "measurement"), HasSubstr("'primary'"));
  options_.policy.enclaves = {other};
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(FailedSteps(result), "measurement");
  EXPECT_THAT(DetailOf(result, "measurement"), HasSubstr(kMrEnclave));
}

TEST_F(SgxVerifierTest, MatchesASignerWithProductAndMinimumVersion) {
  options_.policy.enclaves = {
      {.name = "signer", .mr_enclave = {}, .mr_signer = ArrayFromHex<32>(kMrSigner), .isv_prod_id = 0}};
  EXPECT_TRUE(Appraise(primary_).accepted());
  options_.policy.enclaves[0].minimum_isv_svn = 1;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "measurement");
  options_.policy.enclaves[0].minimum_isv_svn = 0;
  options_.policy.enclaves[0].isv_prod_id = 1;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "measurement");
}

TEST_F(SgxVerifierTest, RefusesAPolicyThatPinsNothingUnlessThatIsAccepted) {
  options_.policy.enclaves[0].mr_enclave.reset();
  EXPECT_THAT(std::string(SgxVerifier::Create(options_).status().message()), HasSubstr("'primary' pins neither"));
  options_.policy.enclaves.clear();
  EXPECT_FALSE(SgxVerifier::Create(options_).ok());
  options_.policy.unpinned = Unpinned::kAccepted;
  EXPECT_TRUE(Appraise(primary_).accepted());
}

TEST_F(SgxVerifierTest, RefusesAPolicyThatAcceptsNoStatusOrARevokedPlatform) {
  options_.policy.tcb.accepted = {};
  EXPECT_FALSE(SgxVerifier::Create(options_).ok());
  options_.policy.tcb.accepted = {TcbStatus::kUpToDate, TcbStatus::kRevoked};
  EXPECT_FALSE(SgxVerifier::Create(options_).ok());
}

TEST_F(SgxVerifierTest, RefusesWithoutCollateral) {
  options_.collateral.clear();
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "collateral, tcb status, qe tcb status");
}

TEST_F(SgxVerifierTest, RefusesCollateralOfTheOtherTee) {
  options_.collateral = {testing::TdxCollateral()};
  EXPECT_THAT(FailedSteps(Appraise(primary_)), HasSubstr("qe identity, tcb info platform"));
}

TEST_F(SgxVerifierTest, ChoosesTheCollateralThatFits) {
  options_.collateral.insert(options_.collateral.begin(), testing::TdxCollateral());
  EXPECT_TRUE(Appraise(primary_).accepted());
}

TEST_F(SgxVerifierTest, RefusesPartsOfCollateralThatIntelDidNotSign) {
  const intel::Collateral good = testing::SgxCollateral();
  intel::Collateral bad = good;
  Replace(bad.tcb_info.text, "\"pcesvn\":13", "\"pcesvn\":12");  // as well formed as before
  options_.collateral = {bad};
  EXPECT_THAT(FailedSteps(Appraise(primary_)), HasSubstr("tcb info signature"));
  bad = good;
  Replace(bad.qe_identity.text, "\"isvsvn\":8", "\"isvsvn\":7");
  options_.collateral = {bad};
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "qe identity signature, qe tcb status");
  bad = good;
  bad.pck_crl[100] ^= 1;
  options_.collateral = {bad};
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "pck revocation list, revocation");
  bad = good;
  bad.root_ca_crl[100] ^= 1;
  options_.collateral = {bad};
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "root revocation list, revocation");
}

TEST_F(SgxVerifierTest, RefusesRevocationListsThatAreMissingOrSwapped) {
  const intel::Collateral good = testing::SgxCollateral();
  options_.collateral[0].pck_crl.clear();
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "pck revocation list, revocation");
  options_.collateral[0] = good;
  options_.collateral[0].pck_crl_issuer_chain.clear();
  options_.collateral[0].pck_crl = good.root_ca_crl;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "pck revocation list, revocation");
  options_.collateral[0] = good;
  options_.collateral[0].root_ca_crl = good.pck_crl;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "root revocation list, revocation");
}

TEST_F(SgxVerifierTest, RefusesAnIdentitySignedByIntelInPlaceOfTcbInfo) {
  std::swap(options_.collateral[0].tcb_info, options_.collateral[0].qe_identity);
  EXPECT_THAT(FailedSteps(Appraise(primary_)), HasSubstr("qe identity signature"));
}

TEST_F(SgxVerifierTest, RefusesAnotherRoot) {
  options_.root_key.back() ^= 1;
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(FailedSteps(result), "pck chain");
  EXPECT_THAT(DetailOf(result, "pck chain"), HasSubstr("not the vendor's"));
  EXPECT_TRUE(result.claims.empty());
}

TEST_F(SgxVerifierTest, RefusesOtherKinds) {
  kind_ = EvidenceKind::kTdx;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "kind");
  kind_ = EvidenceKind::kSgx;
  EXPECT_EQ(FailedSteps(Appraise(AttestationVector("dcapqvl_tdx_quote.bin"))), "structure");
  EXPECT_EQ(FailedSteps(Appraise(AttestationVector("virtee_report_milan.bin"))), "structure");
  EXPECT_EQ(FailedSteps(Appraise(ToBytes("SHOJISIM"))), "structure");
}

TEST_F(SgxVerifierTest, RefusesDebugEnclavesWhateverElseHolds) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  options_.policy.unpinned = Unpinned::kAccepted;
  const AttestationResult oe = Appraise(SharedVector("sgx/oe_sgx_quote.bin"));
  EXPECT_EQ(FailedSteps(oe).substr(0, 6), "debug,");
  EXPECT_EQ(ClaimOf(oe, "mr_enclave"), "80c698b54ec4fd6f297d56d2d97ae99ab19cda089d52d80c9cad842c6beda08f");
  EXPECT_EQ(ClaimOf(oe, "mr_signer"), "4a3a116ef681c60bbd602e95f623b1c03c4f4b1e011dbc60ab6022b65d12d506");
  EXPECT_EQ(ClaimOf(oe, "report_data"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" + std::string(64, '0'));
  EXPECT_EQ(ClaimOf(oe, "isv_prod_id") + "/" + ClaimOf(oe, "isv_svn"), "1/1");
  EXPECT_EQ(ClaimOf(oe, "fmspc"), "00906ed50000");
  const AttestationResult occlum = Appraise(SharedVector("sgx/trustee_occlum_quote.dat"));
  EXPECT_EQ(FailedSteps(occlum).substr(0, 6), "debug,");
  EXPECT_EQ(ClaimOf(occlum, "mr_enclave"), "8f173e4613ff05c52aaf04162d234edae8c9977eae47eb2299ae16a553011c68");
  EXPECT_EQ(ClaimOf(occlum, "mr_signer"), "83d719e77deaca1470f6baf62a4d774303c899db69020f9c70ee1dfc08c7ce9e");
  EXPECT_EQ(ClaimOf(occlum, "fmspc"), "00606a000000");
}

TEST_F(SgxVerifierTest, RefusesCollateralOfAnotherPlatform) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  options_.policy.unpinned = Unpinned::kAccepted;
  const AttestationResult result = Appraise(SharedVector("sgx/oe_sgx_quote.bin"));
  EXPECT_THAT(FailedSteps(result), HasSubstr("tcb info platform"));
  EXPECT_THAT(DetailOf(result, "tcb info platform"), HasSubstr("found SGX, FMSPC 00a067110000"));
  EXPECT_THAT(DetailOf(result, "tcb info platform"), HasSubstr("expected SGX, FMSPC 00906ed50000"));
}

// The certificates of another platform's quote in the place of its own: their chain is genuine.
TEST_F(SgxVerifierTest, RefusesAMixedUpPckCertificate) {
  constexpr size_t kCertificates = 0x418;  // their length, before them
  const Bytes other = AttestationVector("dcapqvl_tdx_quote.bin");
  Bytes mixed(primary_.begin(), primary_.begin() + kCertificates);
  Append(mixed, ByteSpan(other).subspan(0x4E6, 4936 - 0x4E6));
  const size_t signature_size = mixed.size() - 0x1B4;
  mixed[0x1B0] = static_cast<uint8_t>(signature_size);
  mixed[0x1B1] = static_cast<uint8_t>(signature_size >> 8);
  const AttestationResult result = Appraise(mixed);
  EXPECT_EQ(FailedSteps(result), "qe report signature");
  EXPECT_THAT(DetailOf(result, "pck chain"), HasSubstr("up to the pinned root"));
}

}  // namespace
}  // namespace shoji::attest
