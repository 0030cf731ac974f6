// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Genuine quotes of TDX trust domains, positive and negative.

#include "lib/attest/tdx/tdx_verifier.h"

#include <algorithm>

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
using testing::CollateralOf;
using testing::DetailOf;
using testing::FailedSteps;
using ::testing::HasSubstr;
using testing::kVectorTime;
using testing::SharedVector;
using testing::UnixTime;

constexpr const char* kMrTd =
    "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7";
constexpr const char* kRtmr0 =
    "44c0197b39157fdd7a4dcc44767f9d6b0bb3977c7a8e347b8492f827fe9d9e5c48aca29b220b80b6a540cf994b9bc9c0";
constexpr const char* kRtmr1 =
    "0084452c01668329d4bc06acdf58a7205c26743304509973949e5619bf81a6a7aea8c323c173019b3093d54e579e9378";
constexpr const char* kRtmr2 =
    "d833feef2cd945148aa38ead2c53e9b7f138190aaaebfc551dccd829fc207aa3ba80b70870d7330733642e01d48c3132";
constexpr const char* kReportData =
    "9a9d48e7f6799642d3d1b34e1e5e1742d4bb02dd6ddd551862c1211d35c304f9eca3efdbb481601c163cf52493d6e44aed55d51ec39b7e518f"
    "a"
    "db92c2b523f20";
const std::string kZeros48 = std::string(96, '0');

class TdxVerifierTest : public ::testing::Test {
 protected:
  TdxVerifierTest() {
    TdxReference reference;
    reference.name = "primary";
    reference.mr_td = ArrayFromHex<48>(kMrTd);
    reference.rtmrs = {ArrayFromHex<48>(kRtmr0), ArrayFromHex<48>(kRtmr1), ArrayFromHex<48>(kRtmr2), std::nullopt};
    options_.policy.guests = {reference};
    options_.collateral = {testing::TdxCollateral()};
    options_.root_key = intel::IntelSgxRootKey();
  }
  AttestationResult Appraise(Bytes quote) {
    absl::StatusOr<std::unique_ptr<Verifier>> verifier = TdxVerifier::Create(options_);
    EXPECT_TRUE(verifier.ok()) << verifier.status();
    return (*verifier)->Appraise({kind_, std::move(quote)}, expected_, now_);
  }
  // Of a vector of ../shared with its collateral, whatever it measures and binds.
  AttestationResult AppraiseShared(const std::string& quote, intel::Collateral collateral, SystemTime now) {
    options_.policy.guests.clear();
    options_.policy.unpinned = Unpinned::kAccepted;
    options_.collateral = {std::move(collateral)};
    now_ = now;
    return Appraise(SharedVector(quote));
  }

  TdxVerifier::Options options_;
  EvidenceKind kind_ = EvidenceKind::kTdx;
  ReportData expected_ = ArrayFromHex<64>(kReportData);
  SystemTime now_ = kVectorTime;
  const Bytes primary_ = AttestationVector("dcapqvl_tdx_quote.bin");
};

TEST_F(TdxVerifierTest, AcceptsTheGenuineQuoteAndIgnoresWhatFollowsIt) {
  ASSERT_EQ(primary_.size(), 5006U);  // of which 70 follow the signature
  EXPECT_TRUE(Appraise(primary_).accepted()) << Appraise(primary_).ToStatus();
  Bytes changed = primary_;
  changed.back() ^= 0xFF;
  changed.push_back(7);
  EXPECT_TRUE(Appraise(changed).accepted());
  changed.resize(4936);
  EXPECT_TRUE(Appraise(changed).accepted());
  changed.pop_back();
  EXPECT_EQ(FailedSteps(Appraise(changed)), "structure");
}

TEST_F(TdxVerifierTest, DecodesEveryField) {
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(ClaimOf(result, "quote_version"), "4");
  EXPECT_EQ(ClaimOf(result, "tdx_version"), "1.0");
  EXPECT_EQ(ClaimOf(result, "tee_tcb_svn"), "06010300000000000000000000000000");
  EXPECT_EQ(ClaimOf(result, "mr_seam"),
            "5b38e33a6487958b72c3c12a938eaa5e3fd4510c51aeeab58c7d5ecee41d7c436489d6c8e4f92f160b7cad34207b00c1");
  EXPECT_EQ(ClaimOf(result, "mr_signer_seam"), kZeros48);
  EXPECT_EQ(ClaimOf(result, "seam_attributes"), "0000000000000000");
  EXPECT_EQ(ClaimOf(result, "td_attributes"), "0000001000000000");
  EXPECT_EQ(ClaimOf(result, "xfam"), "e702060000000000");
  EXPECT_EQ(ClaimOf(result, "mr_td"), kMrTd);
  EXPECT_EQ(ClaimOf(result, "mr_config_id"), kZeros48);
  EXPECT_EQ(ClaimOf(result, "mr_owner"), kZeros48);
  EXPECT_EQ(ClaimOf(result, "mr_owner_config"), kZeros48);
  EXPECT_EQ(ClaimOf(result, "rtmr0"), kRtmr0);
  EXPECT_EQ(ClaimOf(result, "rtmr1"), kRtmr1);
  EXPECT_EQ(ClaimOf(result, "rtmr2"), kRtmr2);
  EXPECT_EQ(ClaimOf(result, "rtmr3"), kZeros48);
  EXPECT_EQ(ClaimOf(result, "report_data"), kReportData);
  EXPECT_EQ(ClaimOf(result, "fmspc"), "b0c06f000000");
  EXPECT_EQ(ClaimOf(result, "pck_tcb_components"), "03030202040100050000000000000000");
  EXPECT_EQ(ClaimOf(result, "pck_pce_svn"), "11");
  EXPECT_EQ(ClaimOf(result, "tcb_status"), "UpToDate");
  EXPECT_EQ(ClaimOf(result, "tdx_module_status"), "UpToDate");
  EXPECT_EQ(ClaimOf(result, "advisories"), "");
  EXPECT_THAT(DetailOf(result, "pck revocation list"), HasSubstr("44 revoked"));
}

TEST_F(TdxVerifierTest, HoldsExactlyWhileItsCollateralDoes) {
  now_ = UnixTime(1750329147);  // 2025-06-19T10:32:27Z
  EXPECT_TRUE(Appraise(primary_).accepted());
  now_ -= std::chrono::seconds(1);
  EXPECT_FALSE(Appraise(primary_).accepted());
  now_ = UnixTime(1752919235);  // 2025-07-19T10:00:35Z
  EXPECT_TRUE(Appraise(primary_).accepted());
  now_ += std::chrono::seconds(1);
  EXPECT_FALSE(Appraise(primary_).accepted());
}

TEST_F(TdxVerifierTest, RefusesEveryMeasurementThatDiffers) {
  for (size_t i = 0; i < 3; ++i) {
    TdxReference& reference = options_.policy.guests[0];
    const TdxReference good = reference;
    reference.rtmrs[i]->back() ^= 1;
    const AttestationResult result = Appraise(primary_);
    EXPECT_EQ(FailedSteps(result), "measurement");
    EXPECT_THAT(DetailOf(result, "measurement"), HasSubstr("RTMR" + std::to_string(i)));
    reference = good;
  }
  options_.policy.guests[0].mr_td->back() ^= 1;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "measurement");
  options_.policy.guests[0].mr_td->back() ^= 1;
  options_.policy.guests[0].mr_config_id = ArrayFromHex<48>(kRtmr0);
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "measurement");
}

// The genuine domain has SEPT_VE_DISABLE (bit 28) and nothing else.
TEST_F(TdxVerifierTest, AttributesAndXfamAreJudgedByTheBitsThatThePolicyNames) {
  EXPECT_EQ(DetailOf(Appraise(primary_), "td attributes"), "no such step");
  EXPECT_EQ(DetailOf(Appraise(primary_), "xfam"), "no such step");
  options_.policy.attributes = {.value = ArrayFromHex<8>("0000001000000000")};
  options_.policy.xfam = {.value = ArrayFromHex<8>("e702060000000000")};
  const AttestationResult exact = Appraise(primary_);
  EXPECT_TRUE(exact.accepted()) << exact.ToStatus();
  EXPECT_EQ(DetailOf(exact, "td attributes"), "0000001000000000");
  EXPECT_EQ(DetailOf(exact, "xfam"), "e702060000000000");

  options_.policy.attributes = {.value = ArrayFromHex<8>("0000000000000080")};
  const AttestationResult other = Appraise(primary_);
  EXPECT_EQ(FailedSteps(other), "td attributes");
  EXPECT_THAT(DetailOf(other, "td attributes"), HasSubstr("differs in bits 28, 63; expected 0000000000000080"));
  options_.policy.attributes = {.mask = ArrayFromHex<8>("0000001000000000"),
                                .value = ArrayFromHex<8>("0000000000000000")};
  EXPECT_THAT(DetailOf(Appraise(primary_), "td attributes"), HasSubstr("in the bits of 0000001000000000"));
  options_.policy.attributes->value = ArrayFromHex<8>("0000001000000000");
  options_.policy.xfam = {.mask = ArrayFromHex<8>("0300080000000000"), .value = ArrayFromHex<8>("0300080000000000")};
  const AttestationResult without = Appraise(primary_);
  EXPECT_EQ(FailedSteps(without), "xfam");
  EXPECT_THAT(DetailOf(without, "xfam"), HasSubstr("differs in bits 19"));
  options_.policy.xfam->value = ArrayFromHex<8>("0300000000000000");
  EXPECT_TRUE(Appraise(primary_).accepted());
}

TEST_F(TdxVerifierTest, RefusesRulesForBitsThatNothingSatisfiesOrThatSayNothing) {
  options_.policy.attributes = {.mask = ArrayFromHex<8>("0000001000000000"),
                                .value = ArrayFromHex<8>("0000001000000080")};
  EXPECT_THAT(std::string(TdxVerifier::Create(options_).status().message()),
              HasSubstr("the value of TDATTRIBUTES, 0000001000000080, has bits that are not in its mask"));
  options_.policy.attributes.reset();
  options_.policy.xfam = {.mask = {}, .value = {}};
  EXPECT_THAT(std::string(TdxVerifier::Create(options_).status().message()), HasSubstr("the mask of XFAM has no bit"));
}

TEST_F(TdxVerifierTest, RefusesAPolicyThatLacksFirmwareKernelOrCommandLine) {
  for (const size_t rtmr : {1U, 2U}) {
    TdxVerifier::Options options = options_;
    options.policy.guests[0].rtmrs[rtmr].reset();
    EXPECT_THAT(std::string(TdxVerifier::Create(options).status().message()), HasSubstr("does not pin all of MRTD"));
    options.policy.unpinned = Unpinned::kAccepted;
    EXPECT_TRUE(TdxVerifier::Create(options).ok());
  }
  options_.policy.guests[0].mr_td.reset();
  EXPECT_FALSE(TdxVerifier::Create(options_).ok());
  options_.policy.guests.clear();
  EXPECT_FALSE(TdxVerifier::Create(options_).ok());
}

TEST_F(TdxVerifierTest, RefusesAnotherReportData) {
  expected_[63] ^= 1;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "report data");
}

TEST_F(TdxVerifierTest, RefusesCollateralOfSgx) {
  options_.collateral = {testing::SgxCollateral()};
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(FailedSteps(result),
            "pck revocation list, revocation, qe identity, tcb info platform, tcb status, qe tcb status");
  EXPECT_THAT(DetailOf(result, "qe identity"), HasSubstr("found the identity of the quoting enclave of SGX"));
}

TEST_F(TdxVerifierTest, RefusesOtherKinds) {
  EXPECT_EQ(FailedSteps(Appraise(AttestationVector("dcapqvl_sgx_quote_v3.bin"))), "structure");
  kind_ = EvidenceKind::kSgx;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "kind");
}

TEST_F(TdxVerifierTest, RefusesADomainUnderDebug) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  expected_ = ArrayFromHex<64>(
      "7c71fe2c86eff65a7cf8dbc22b3275689fd0464a267baced1bf94fc1324656aeb755da3d44d098c0c87382f3a5f85b45c8a28fee1d3bdb38"
      "342b"
      "f96671501429");
  const AttestationResult result = AppraiseShared(
      "tdx/trustee_tdx_quote_4.dat", CollateralOf(SharedVector("tdx/gotdx_tdx_prod_quote_SPR_E4.collateral.json")),
      UnixTime(1687564800));  // 2023-06-24
  EXPECT_EQ(FailedSteps(result), "debug");
  EXPECT_EQ(ClaimOf(result, "td_attributes"), "0100001000000000");
  EXPECT_EQ(ClaimOf(result, "tcb_status"), "UpToDate");
  EXPECT_EQ(ClaimOf(result, "mr_td"),
            "705ee9381b8633a9fbe532b52345e8433343d2868959f57889d84ca377c395b689cac1599ccea1b7d420483a9ce5f031");
}

TEST_F(TdxVerifierTest, RefusesAPlatformThatReachesNoLevel) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  expected_ = ArrayFromHex<64>(
      "6c62dec1b8191749a31dab490be532a35944dea47caef1f980863993d9899545eb7406a38d1eed313b987a467dacead6f0c87a6d766c66f6"
      "f29f"
      "8acb281f1113");
  const AttestationResult result = AppraiseShared(
      "tdx/gotdx_tdx_prod_quote_SPR_E4.dat",
      CollateralOf(SharedVector("tdx/gotdx_tdx_prod_quote_SPR_E4.collateral.json")), UnixTime(1687564800));
  EXPECT_EQ(FailedSteps(result), "tcb level, tcb status");
  EXPECT_THAT(DetailOf(result, "tcb level"), HasSubstr("no matching TCB level"));
  EXPECT_EQ(ClaimOf(result, "mr_td"),
            "6363b8043668a3ad953278e10389574d326c6749fb78aa810ecd9336923db86f22fc00b8dcd404bc10d5e119d7215cbb");
}

TEST_F(TdxVerifierTest, RefusesAnOutdatedQuoteOfVersion5) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  const AttestationResult result =
      AppraiseShared("tdx/dcapqvl_tdx_quote_outdated.bin",
                     CollateralOf(SharedVector("tdx/dcapqvl_tdx_quote_outdated.collateral.json")),
                     UnixTime(1771934400));  // 2026-02-24T12:00:00Z
  EXPECT_EQ(FailedSteps(result), "tcb level, tcb status, report data");
  EXPECT_EQ(ClaimOf(result, "quote_version"), "5");
  EXPECT_EQ(ClaimOf(result, "tdx_version"), "1.5");
  EXPECT_EQ(ClaimOf(result, "fmspc"), "90c06f000000");
}

// Its own TCB info, of 2026-02-01, with the other parts of the collateral of the outdated quote above: one platform
// family.
TEST_F(TdxVerifierTest, AcceptsAGenuineQuoteOfVersion5) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  intel::Collateral collateral = CollateralOf(SharedVector("tdx/dcapqvl_tdx_quote_outdated.collateral.json"));
  const auto tcb_info = intel::ParsePcsBody(SharedVector("tdx/gotdx_sample_tcbinfo_response_v5"));
  ASSERT_TRUE(tcb_info.ok()) << tcb_info.status();
  collateral.tcb_info.text = tcb_info->text;
  collateral.tcb_info.signature = tcb_info->signature;
  const Bytes quote = SharedVector("tdx/gotdx_quote_v5_sample.dat");
  std::copy_n(quote.begin() + 0x36 + 0x208, expected_.size(), expected_.begin());
  const AttestationResult result =
      AppraiseShared("tdx/gotdx_quote_v5_sample.dat", collateral, UnixTime(1771934400));  // 2026-02-24T12:00:00Z
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(ClaimOf(result, "tcb_status"), "UpToDate");
  EXPECT_EQ(ClaimOf(result, "tdx_version"), "1.5");
}

}  // namespace
}  // namespace shoji::attest
