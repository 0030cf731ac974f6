// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Steps of appraising Intel quotes that no genuine vector makes fail, with keys of our own.

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/attest/sgx/sgx_verifier.h"
#include "lib/attest/tdx/tdx_verifier.h"
#include "tests/unit/lib/attest/attestation_vectors.h"
#include "tests/unit/lib/attest/intel_pki.h"

namespace shoji::attest {
namespace {

using intel::TcbStatus;
using intel::TeeType;
using testing::ClaimOf;
using testing::DetailOf;
using testing::FailedSteps;
using ::testing::HasSubstr;
using testing::IntelPki;
using testing::kVectorTime;

constexpr uint8_t kFill = 0x77;
constexpr size_t kEnclaveReportBytes = 384;
constexpr size_t kTdReport10Bytes = 584;
constexpr size_t kTdReport15Bytes = 648;

class IntelSyntheticTest : public ::testing::Test {
 protected:
  IntelSyntheticTest() { expected_.fill(kFill); }

  AttestationResult Appraise(uint16_t version, const Bytes& body) {
    return AppraiseQuote(pki_.Quote(options_, version, body, change_));
  }
  AttestationResult AppraiseQuote(const Bytes& quote) {
    if (options_.tee == TeeType::kTdx) {
      return Appraise<TdxVerifier, TdxPolicy>(EvidenceKind::kTdx, quote);
    }
    return Appraise<SgxVerifier, SgxPolicy>(EvidenceKind::kSgx, quote);
  }
  template <typename V, typename Policy>
  AttestationResult Appraise(EvidenceKind kind, const Bytes& quote) {
    Policy policy;
    policy.unpinned = Unpinned::kAccepted;
    const auto verifier = V::Create({policy, {pki_.Collateral(options_)}, pki_.root_key()});
    EXPECT_TRUE(verifier.ok()) << verifier.status();
    return (*verifier)->Appraise({kind, quote}, expected_, kVectorTime);
  }
  AttestationResult AppraiseSgx() { return Appraise(3, sgx_body_); }
  AttestationResult AppraiseTdx() {
    options_.tee = TeeType::kTdx;
    return Appraise(4, tdx_body_);
  }

  const IntelPki& pki_ = IntelPki::Get();
  testing::IntelOptions options_;
  std::function<void(Bytes&)> change_;  // of the QE report
  Bytes sgx_body_ = testing::EnclaveReportBytes(kFill);
  Bytes tdx_body_ = testing::TdReportBytes(kFill, kTdReport10Bytes);
  ReportData expected_ = {};
};

TEST_F(IntelSyntheticTest, AcceptsSgxBodiesInEveryVersion) {
  for (const uint16_t version : {uint16_t{3}, uint16_t{4}, uint16_t{5}}) {
    const AttestationResult result = Appraise(version, sgx_body_);
    EXPECT_TRUE(result.accepted()) << version << ": " << result.ToStatus();
    EXPECT_EQ(ClaimOf(result, "quote_version"), std::to_string(version));
  }
}

TEST_F(IntelSyntheticTest, AcceptsTdxBodiesInEveryVersion) {
  EXPECT_TRUE(AppraiseTdx().accepted()) << AppraiseTdx().ToStatus();
  EXPECT_TRUE(Appraise(5, tdx_body_).accepted());
  const AttestationResult result = Appraise(5, testing::TdReportBytes(kFill, kTdReport15Bytes));
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(ClaimOf(result, "mr_service_td"), HexEncode(Bytes(48, kFill)));
  EXPECT_EQ(ClaimOf(result, "tee_tcb_svn_2"), HexEncode(Bytes(16, kFill)));
}

TEST_F(IntelSyntheticTest, AcceptsTcbInfoOfVersion2ForSgx) {
  options_.tcb_info_version = 2;
  EXPECT_TRUE(AppraiseSgx().accepted()) << AppraiseSgx().ToStatus();
  options_.tcb_info_version = 4;
  EXPECT_THAT(FailedSteps(AppraiseSgx()), HasSubstr("tcb info signature"));
}

TEST_F(IntelSyntheticTest, RefusesAnEnclaveUnderDebug) {
  sgx_body_[48] |= 2;
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "debug");
}

TEST_F(IntelSyntheticTest, RefusesADomainUnderDebugByEveryBitOfThatGroup) {
  for (int bit = 0; bit < 8; ++bit) {
    tdx_body_[0x78] = static_cast<uint8_t>(1U << bit);
    EXPECT_EQ(FailedSteps(AppraiseTdx()), "debug") << bit;
  }
}

TEST_F(IntelSyntheticTest, RefusesADomainThatCanBeMigrated) {
  tdx_body_[0x7B] = 0x20;
  EXPECT_EQ(FailedSteps(AppraiseTdx()), "migration");
}

TEST_F(IntelSyntheticTest, RefusesAReportThatTheAttestationKeyDidNotSign) {
  Bytes quote = pki_.Quote(options_, 3, sgx_body_);
  quote[0x70] ^= 1;
  EXPECT_EQ(FailedSteps(AppraiseQuote(quote)), "quote signature");
}

TEST_F(IntelSyntheticTest, RefusesAnAttestationKeyThatTheQeDoesNotVouchFor) {
  const Bytes quote = pki_.WithAnotherAttestationKey(pki_.Quote(options_, 3, sgx_body_), 48 + kEnclaveReportBytes);
  EXPECT_EQ(FailedSteps(AppraiseQuote(quote)), "attestation key");
  change_ = [](Bytes& qe_report) { qe_report[383] = 1; };  // the half that must be zero
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "attestation key");
}

TEST_F(IntelSyntheticTest, RefusesAQeReportThatThePckDidNotSign) {
  Bytes quote = pki_.Quote(options_, 3, sgx_body_);
  quote[0x234 + 258] ^= 0x10;  // ISVSVN
  EXPECT_EQ(FailedSteps(AppraiseQuote(quote)), "qe report signature");
}

TEST_F(IntelSyntheticTest, RefusesALeafThatIsNoPckCertificate) {
  options_.pck_name = "Intel SGX TCB Signing";
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "pck certificate");
}

TEST_F(IntelSyntheticTest, RefusesCollateralSignedByAnotherCertificateOfTheSameRoot) {
  options_.signer_name = "Intel SGX PCK Certificate";
  const AttestationResult result = AppraiseSgx();
  EXPECT_THAT(FailedSteps(result), HasSubstr("qe identity signature, tcb info signature"));
  EXPECT_THAT(DetailOf(result, "tcb info signature"), HasSubstr("expected \"Intel SGX TCB Signing\""));
}

TEST_F(IntelSyntheticTest, RefusesCollateralOfAnotherRoot) {
  options_.collateral_of_another_root = true;
  EXPECT_THAT(FailedSteps(AppraiseSgx()), HasSubstr("qe identity signature, tcb info signature"));
}

TEST_F(IntelSyntheticTest, RefusesEveryCertificateThatIsRevoked) {
  options_.revoked_by_pck_ca = {IntelPki::kPckSerial};
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "revocation");
  EXPECT_THAT(DetailOf(AppraiseSgx(), "revocation"), HasSubstr("serial number 0b, is revoked"));
  options_.revoked_by_pck_ca.clear();
  options_.revoked_by_root = {IntelPki::kPckCaSerial};
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "revocation");
  options_.revoked_by_root = {IntelPki::kSignerSerial};
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "revocation");
  options_.revoked_by_root = {IntelPki::kPckSerial};  // another issuer's number
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "");
}

TEST_F(IntelSyntheticTest, RefusesAQuotingEnclaveThatIsNotIntels) {
  const std::pair<size_t, std::string> fields[] = {
      {128, "MRSIGNER"}, {256, "ISVPRODID"}, {16, "MISCSELECT"}, {48, "ATTRIBUTES"}};
  for (const auto& [offset, field] : fields) {
    change_ = [offset = offset](Bytes& qe_report) { qe_report[offset] ^= 2; };
    const AttestationResult result = AppraiseSgx();
    EXPECT_EQ(FailedSteps(result), "qe identity, qe tcb status") << field;
    EXPECT_THAT(DetailOf(result, "qe identity"), HasSubstr(field));
  }
  change_ = [](Bytes& qe_report) { qe_report[48] ^= 4; };  // masked
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "");
}

TEST_F(IntelSyntheticTest, RefusesAQuotingEnclaveBelowEveryLevel) {
  options_.level_qe_svn = 5;
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "qe tcb level, qe tcb status");
}

TEST_F(IntelSyntheticTest, OfSeveralCurrentSetsTheNewestJudgesWhereverItStands) {
  testing::IntelOptions recovered = options_;
  recovered.evaluation_data_number = 18;
  recovered.tcb_status = "OutOfDate";
  const std::vector<intel::Collateral> old_first = {pki_.Collateral(options_), pki_.Collateral(recovered)};
  const std::vector<intel::Collateral> new_first = {pki_.Collateral(recovered), pki_.Collateral(options_)};
  for (const auto& collateral : {old_first, new_first}) {
    SgxPolicy policy;
    policy.unpinned = Unpinned::kAccepted;
    const auto verifier = SgxVerifier::Create({policy, collateral, pki_.root_key()});
    ASSERT_TRUE(verifier.ok()) << verifier.status();
    const Bytes quote = pki_.Quote(options_, 3, sgx_body_, change_);
    EXPECT_EQ(FailedSteps((*verifier)->Appraise({EvidenceKind::kSgx, quote}, expected_, kVectorTime)), "tcb status");
  }
}

TEST_F(IntelSyntheticTest, RefusesAPlatformBelowEveryLevel) {
  options_.level_svn = 6;
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "tcb level, tcb status");
  options_.level_svn = 5;
  options_.level_pce_svn = 12;
  EXPECT_EQ(FailedSteps(AppraiseSgx()), "tcb level, tcb status");
}

TEST_F(IntelSyntheticTest, RefusesTdxComponentsBelowTheLevelButForThoseOfTheModule) {
  tdx_body_[2] = 4;
  EXPECT_EQ(FailedSteps(AppraiseTdx()), "tcb level, tcb status");
  tdx_body_[2] = 5;
  tdx_body_[1] = 0;  // a module without a version of its own: components 0 and 1 count
  EXPECT_EQ(FailedSteps(AppraiseTdx()), "tcb level, tcb status");
}

TEST_F(IntelSyntheticTest, RefusesTdxModulesThatIntelDoesNotList) {
  tdx_body_[1] = 2;
  EXPECT_THAT(FailedSteps(AppraiseTdx()), HasSubstr("tdx module"));
  EXPECT_THAT(DetailOf(AppraiseTdx(), "tdx module"), HasSubstr("describes no module 'TDX_02'"));
  tdx_body_[1] = 1;
  tdx_body_[0] = 4;
  EXPECT_EQ(FailedSteps(AppraiseTdx()), "tdx module");
  tdx_body_[0] = 5;
  tdx_body_[0x40] = 1;
  EXPECT_THAT(DetailOf(AppraiseTdx(), "tdx module"), HasSubstr("MRSIGNERSEAM"));
  tdx_body_[0x40] = 0;
  tdx_body_[0x70] = 1;
  EXPECT_THAT(DetailOf(AppraiseTdx(), "tdx module"), HasSubstr("SEAMATTRIBUTES"));
}

TEST_F(IntelSyntheticTest, RefusesEachJudgementThatThePolicyDoesNotAccept) {
  for (const TcbStatus status : intel::kAllTcbStatuses) {
    if (status == TcbStatus::kUpToDate) {
      continue;
    }
    options_ = {};
    options_.tcb_status = NameOf(status);
    EXPECT_EQ(FailedSteps(AppraiseTdx()), "tcb status");
    EXPECT_THAT(ClaimOf(AppraiseTdx(), "advisories"), HasSubstr("INTEL-SA-" + options_.tcb_status));
    options_ = {};
    options_.qe_status = NameOf(status);
    EXPECT_EQ(FailedSteps(AppraiseTdx()), "qe tcb status");
    options_ = {};
    options_.module_status = NameOf(status);
    EXPECT_EQ(FailedSteps(AppraiseTdx()), "tdx module status");
  }
}

TEST_F(IntelSyntheticTest, RefusesAStatusThatIsNotKnown) {
  options_.tcb_status = "Splendid";
  EXPECT_THAT(DetailOf(AppraiseSgx(), "tcb info signature"), HasSubstr("the TCB status 'Splendid' is not known"));
}

TEST_F(IntelSyntheticTest, RefusesEveryTruncationOfAQuote) {
  for (const uint16_t version : {uint16_t{3}, uint16_t{4}, uint16_t{5}}) {
    const Bytes good = pki_.Quote(options_, version, sgx_body_);
    for (size_t size = 0; size < good.size(); size += 1 + size / 500) {
      const Bytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_FALSE(intel::ParseQuote(cut).ok()) << version << ": " << size;
    }
  }
}

}  // namespace
}  // namespace shoji::attest
