// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Genuine SEV-SNP reports, positive and negative.

#include "lib/attest/sev_snp/snp_verifier.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/hex.h"
#include "tests/unit/lib/attest/amd_pki.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::attest {
namespace {

using sev_snp::Product;
using sev_snp::SigningKey;
using testing::ArrayFromHex;
using testing::AttestationVector;
using testing::ClaimOf;
using testing::DetailOf;
using testing::FailedSteps;
using ::testing::HasSubstr;
using testing::SharedVector;
using testing::UnixTime;
using testing::WithCertificate;
using testing::WithTable;

constexpr const char* kMilanMeasurement =
    "7a1e5c266c0108dbc9bb94fa926951320940915d0aafb42464bd88b579ea158d3e1a0dc39b2c60bd95b9c480cd81841f";
constexpr const char* kMilanReportData =
    "d447b55d197491bfe15cf298f9de9986b7a7c4be2468b4f6e2d53b71d7c645810b0f2cdfca0040433be063fc1a8293f0f3f8dae7b79fecb3d1"
    "cd"
    "82bd6a93ebfd";
constexpr const char* kChipId =
    "d49554ec717f4e5b0fe6b143bcf0405bd7ae304727edf46603f2a76aef6a3abc15d7af38db757039029f0efacfd08e244324884738c72b082e"
    "2f"
    "87a44d541eb6";

class SnpVerifierTest : public ::testing::Test {
 protected:
  SnpVerifierTest() {
    SnpReference reference;
    reference.name = "milan";
    reference.measurement = ArrayFromHex<48>(kMilanMeasurement);
    reference.kernel_hashes = KernelHashes::kMeasured;
    reference.vmpl = 0;
    options_.policy.guests = {reference};
    options_.policy.minimum_tcb[Product::kMilan] = {.bootloader = 3, .tee = 0, .snp = 8, .microcode = 115};
    options_.policy.missing_revocation_list = sev_snp::MissingList::kAccepted;  // no genuine one of AMD's is at hand
    options_.roots = sev_snp::AmdRoots();
  }
  AttestationResult Appraise(Bytes data) {
    absl::StatusOr<std::unique_ptr<Verifier>> verifier = SnpVerifier::Create(options_);
    EXPECT_TRUE(verifier.ok()) << verifier.status();
    return (*verifier)->Appraise({kind_, std::move(data)}, expected_, now_);
  }
  // Whatever it measures; the report data are its own.
  AttestationResult AppraiseUnpinned(Bytes data) {
    options_.policy.guests.clear();
    options_.policy.unpinned = Unpinned::kAccepted;
    for (const Product product : sev_snp::kAllProducts) {
      options_.policy.minimum_tcb[product] = {};
    }
    std::copy_n(data.begin() + 0x50, expected_.size(), expected_.begin());
    return Appraise(std::move(data));
  }
  void AddCollateral(const Bytes& bytes) {
    const absl::Status status = sev_snp::AddTo(options_.collateral, bytes);
    EXPECT_TRUE(status.ok()) << status;
  }

  SnpVerifier::Options options_;
  EvidenceKind kind_ = EvidenceKind::kSevSnp;
  ReportData expected_ = ArrayFromHex<64>(kMilanReportData);
  SystemTime now_ = testing::kVectorTime;
  const Bytes milan_ = AttestationVector("virtee_report_milan.bin");
  const Bytes milan_vcek_ = AttestationVector("virtee_vcek_milan.der");
  const Bytes primary_ = WithCertificate(milan_, SigningKey::kVcek, milan_vcek_);
};

TEST_F(SnpVerifierTest, AcceptsTheGenuineReportOfMilan) {
  const AttestationResult result = Appraise(primary_);
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_THAT(DetailOf(result, "vek chain"), HasSubstr("SEV-Milan, up to the pinned ARK-Milan"));
}

TEST_F(SnpVerifierTest, DecodesEveryField) {
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(ClaimOf(result, "report_version"), "2");
  EXPECT_EQ(ClaimOf(result, "product"), "Milan");
  EXPECT_EQ(ClaimOf(result, "signing_key"), "VCEK");
  EXPECT_EQ(ClaimOf(result, "policy"), "0x30000");
  EXPECT_EQ(ClaimOf(result, "vmpl"), "0");
  EXPECT_EQ(ClaimOf(result, "guest_svn"), "0");
  EXPECT_EQ(ClaimOf(result, "platform_info"), "0x1");
  EXPECT_EQ(ClaimOf(result, "flags"), "0x0");
  EXPECT_EQ(ClaimOf(result, "measurement"), kMilanMeasurement);
  EXPECT_EQ(ClaimOf(result, "report_data"), kMilanReportData);
  for (const char* tcb : {"reported_tcb", "current_tcb", "committed_tcb", "launch_tcb"}) {
    EXPECT_EQ(ClaimOf(result, tcb), "0300000000000873") << tcb;
  }
  EXPECT_EQ(ClaimOf(result, "chip_id"), kChipId);
  EXPECT_EQ(ClaimOf(result, "current_firmware"), "1.52.4");
  EXPECT_EQ(ClaimOf(result, "report_id"), "92b3b47d59f0a2a10a74c5678868a80238cf593c01a82f3cffb878e904c28d5b");
  EXPECT_EQ(ClaimOf(result, "report_id_ma"), std::string(64, 'f'));
  for (const char* zero : {"host_data", "id_key_digest", "author_key_digest", "family_id", "image_id"}) {
    EXPECT_EQ(ClaimOf(result, zero).find_first_not_of('0'), std::string::npos) << zero;
  }
  EXPECT_EQ(ClaimOf(result, "certificate_product"), "Milan-B0");
  EXPECT_EQ(ClaimOf(result, "cpuid"), "no such claim");
}

TEST_F(SnpVerifierTest, AcceptsTheGenuineReportOfGenoa) {
  AddCollateral(AttestationVector("trustee_az_vcek-genoa.pem"));
  const AttestationResult result = AppraiseUnpinned(AttestationVector("trustee_az_genoa_report.bin"));
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(ClaimOf(result, "product"), "Genoa");
  EXPECT_EQ(ClaimOf(result, "report_version"), "3");
  EXPECT_EQ(ClaimOf(result, "policy"), "0x3001f");
  EXPECT_EQ(ClaimOf(result, "reported_tcb"), "0a00000000001754");
  EXPECT_EQ(ClaimOf(result, "measurement"),
            "f57dc09a507c6ecd82369bffb600f0003792f4d99bc26e985ec0c266fc34faf3706faf814c9e61065768a6ff917c89ae");
  EXPECT_EQ(ClaimOf(result, "report_data"),
            "b581f12e29a2d7d64e5e0b738d563879a78b51c644d0fa0cce02b48699f6bf5f" + std::string(64, '0'));
}

TEST_F(SnpVerifierTest, AcceptsTheGenuineReportUnderAVlekUntilThatExpires) {
  const Bytes evidence = WithCertificate(AttestationVector("trustee_test-vlek-report.bin"), SigningKey::kVlek,
                                         AttestationVector("trustee_test-vlek.der"));
  const AttestationResult result = AppraiseUnpinned(evidence);
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(ClaimOf(result, "signing_key"), "VLEK");
  EXPECT_EQ(ClaimOf(result, "csp_id"), "CN=cc-us-east-2.amazonaws.com");
  EXPECT_EQ(ClaimOf(result, "vmpl"), "1");
  EXPECT_EQ(ClaimOf(result, "reported_tcb"), "04000000000018d9");
  EXPECT_EQ(ClaimOf(result, "chip_id"), std::string(128, '0'));
  EXPECT_EQ(ClaimOf(result, "measurement"),
            "8922ebbdd00ec2c541f36a6e7a82a8773a7accb451ed67bc94e740dbe92c93c4e8c9af857f5ceeb5a493df2a570d7bf0");
  EXPECT_THAT(DetailOf(result, "vek chain"), HasSubstr("SEV-VLEK-Milan"));
  now_ = UnixTime(1795132800);  // 2026-11-20
  EXPECT_EQ(FailedSteps(AppraiseUnpinned(evidence)), "certificate validity");
}

TEST_F(SnpVerifierTest, RefusesWithoutARevocationListUnlessThatIsAccepted) {
  options_.policy.missing_revocation_list = sev_snp::MissingList::kRefused;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "revocation list, revocation");
  options_.policy.missing_revocation_list = sev_snp::MissingList::kAccepted;
  options_.policy.maximum_collateral_age = std::chrono::hours(24);
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "collateral age");
}

TEST_F(SnpVerifierTest, RefusesEveryReferenceValueThatDiffers) {
  SnpReference& reference = options_.policy.guests[0];
  const SnpReference good = reference;
  reference.measurement->front() ^= 1;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "measurement");
  reference = good;
  reference.vmpl = 1;
  EXPECT_THAT(DetailOf(Appraise(primary_), "measurement"), HasSubstr("VMPL 0 instead of 1"));
  reference = good;
  reference.host_data.emplace().fill(1);
  EXPECT_THAT(DetailOf(Appraise(primary_), "measurement"), HasSubstr("HOST_DATA"));
  reference = good;
  reference.id_key_digest.emplace().fill(1);
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "measurement");
  reference = good;
  reference.author_key_digest.emplace().fill(1);
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "measurement");
}

TEST_F(SnpVerifierTest, RefusesAPolicyThatLacksMeasurementKernelHashesOrVmpl) {
  const SnpReference good = options_.policy.guests[0];
  for (int i = 0; i < 3; ++i) {
    SnpReference& reference = options_.policy.guests[0] = good;
    i == 0 ? reference.measurement.reset() : i == 1 ? reference.vmpl.reset() : void();
    reference.kernel_hashes = i == 2 ? KernelHashes::kNotMeasured : KernelHashes::kMeasured;
    EXPECT_THAT(std::string(SnpVerifier::Create(options_).status().message()), HasSubstr("does not pin all of"));
  }
  options_.policy.guests.clear();
  EXPECT_FALSE(SnpVerifier::Create(options_).ok());
  options_.policy.unpinned = Unpinned::kAccepted;
  EXPECT_TRUE(SnpVerifier::Create(options_).ok());
  options_.policy.minimum_tcb.clear();
  EXPECT_FALSE(SnpVerifier::Create(options_).ok());
}

TEST_F(SnpVerifierTest, RefusesATcbBelowTheMinimumOfThatProduct) {
  options_.policy.minimum_tcb[Product::kMilan].microcode = 116;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "minimum tcb");
  options_.policy.minimum_tcb = {{Product::kGenoa, {}}};
  const AttestationResult result = Appraise(primary_);
  EXPECT_EQ(FailedSteps(result), "minimum tcb");
  EXPECT_THAT(DetailOf(result, "minimum tcb"), HasSubstr("a line of processors that the policy accepts"));
}

// The genuine report of a guest whose firmware was updated: REPORTED_TCB 4, 0, 24, 217; COMMITTED_TCB and LAUNCH_TCB
// with microcode 219; CURRENT_TCB with 220.
TEST_F(SnpVerifierTest, LaunchAndCommittedTcbHaveMinimumsOfTheirOwn) {
  const Bytes evidence = WithCertificate(AttestationVector("trustee_test-vlek-report.bin"), SigningKey::kVlek,
                                         AttestationVector("trustee_test-vlek.der"));
  const AttestationResult without = AppraiseUnpinned(evidence);
  EXPECT_EQ(DetailOf(without, "minimum launch tcb"), "no such step");
  EXPECT_EQ(DetailOf(without, "minimum committed tcb"), "no such step");
  EXPECT_EQ(ClaimOf(without, "launch_tcb"), "04000000000018db");
  EXPECT_EQ(ClaimOf(without, "committed_tcb"), "04000000000018db");
  for (const auto& [minimums, step] : {std::pair(&options_.policy.minimum_launch_tcb, "minimum launch tcb"),
                                       std::pair(&options_.policy.minimum_committed_tcb, "minimum committed tcb")}) {
    for (const Product product : sev_snp::kAllProducts) {
      (*minimums)[product] = {.bootloader = 4, .tee = 0, .snp = 24, .microcode = 219};
    }
    const AttestationResult reached = AppraiseUnpinned(evidence);
    EXPECT_EQ(FailedSteps(reached), "") << step;
    EXPECT_THAT(DetailOf(reached, step), HasSubstr("microcode 219"));
    (*minimums)[Product::kMilan].microcode = 220;
    const AttestationResult below = AppraiseUnpinned(evidence);
    EXPECT_EQ(FailedSteps(below), step);
    EXPECT_THAT(DetailOf(below, step), HasSubstr("expected at least bootloader 4, tee 0, snp 24, microcode 220"));
    minimums->clear();
  }
}

TEST_F(SnpVerifierTest, RefusesMinimumsOfOtherLinesThanThoseAccepted) {
  options_.policy.minimum_launch_tcb = {{Product::kGenoa, {}}};
  EXPECT_THAT(std::string(SnpVerifier::Create(options_).status().message()),
              HasSubstr("TCB but no minimum launch TCB for Milan"));
  options_.policy.minimum_launch_tcb[Product::kMilan] = {};
  EXPECT_THAT(std::string(SnpVerifier::Create(options_).status().message()),
              HasSubstr("a minimum launch TCB but no minimum TCB for Genoa"));
  options_.policy.minimum_launch_tcb.clear();
  options_.policy.minimum_committed_tcb = {{Product::kTurin, {}}};
  EXPECT_THAT(std::string(SnpVerifier::Create(options_).status().message()),
              HasSubstr("no minimum committed TCB for Milan"));
}

TEST_F(SnpVerifierTest, RefusesAKeyOfAnotherProviderAndOneOfNone) {
  const Bytes evidence = WithCertificate(AttestationVector("trustee_test-vlek-report.bin"), SigningKey::kVlek,
                                         AttestationVector("trustee_test-vlek.der"));
  EXPECT_EQ(DetailOf(AppraiseUnpinned(evidence), "csp id"), "no such step");
  options_.policy.csp_id = "CN=cc-us-east-2.amazonaws.com";
  const AttestationResult named = AppraiseUnpinned(evidence);
  EXPECT_EQ(FailedSteps(named), "");
  EXPECT_EQ(DetailOf(named, "csp id"), "'CN=cc-us-east-2.amazonaws.com'");
  options_.policy.csp_id = "CN=cc-us-east-1.amazonaws.com";
  const AttestationResult other = AppraiseUnpinned(evidence);
  EXPECT_EQ(FailedSteps(other), "csp id");
  EXPECT_THAT(DetailOf(other, "csp id"), HasSubstr("expected a VLEK of 'CN=cc-us-east-1.amazonaws.com'"));
  const AttestationResult of_the_chip = AppraiseUnpinned(primary_);
  EXPECT_EQ(FailedSteps(of_the_chip), "csp id");
  EXPECT_THAT(DetailOf(of_the_chip, "csp id"), HasSubstr("the chip's own key (VCEK)"));
  options_.policy.csp_id = "";  // which a VCEK's absent name does not equal
  EXPECT_EQ(FailedSteps(AppraiseUnpinned(primary_)), "csp id");
}

TEST_F(SnpVerifierTest, RefusesAnotherReportData) {
  expected_[0] ^= 1;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "report data");
}

TEST_F(SnpVerifierTest, RefusesAReportWithNoCertificateOfItsKey) {
  EXPECT_EQ(FailedSteps(Appraise(milan_)), "endorsement key");
  AddCollateral(AttestationVector("trustee_az_vcek-genoa.pem"));
  EXPECT_EQ(FailedSteps(Appraise(milan_)), "endorsement key");
  AddCollateral(milan_vcek_);
  EXPECT_TRUE(Appraise(milan_).accepted());
  EXPECT_EQ(
      FailedSteps(Appraise(WithCertificate(milan_, SigningKey::kVcek, AttestationVector("trustee_test-vlek.der")))),
      "");  // a VLEK in the place of the VCEK is passed over
}

TEST_F(SnpVerifierTest, RefusesAChangedReportAndAChangedCertificate) {
  Bytes changed = milan_;
  changed[0x90] ^= 1;  // MEASUREMENT
  EXPECT_EQ(FailedSteps(Appraise(WithCertificate(changed, SigningKey::kVcek, milan_vcek_))), "report signature");
  changed = milan_vcek_;
  changed.back() ^= 1;
  EXPECT_EQ(FailedSteps(Appraise(WithCertificate(milan_, SigningKey::kVcek, changed))), "vek chain");
}

TEST_F(SnpVerifierTest, RefusesTheVcekOfAnotherChip) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  const Bytes other = SharedVector("snp/trustee_test-vcek.der");
  EXPECT_EQ(FailedSteps(Appraise(WithCertificate(milan_, SigningKey::kVcek, other))), "report signature");
}

TEST_F(SnpVerifierTest, RefusesTheChainOfAnotherProduct) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  AddCollateral(SharedVector("snp/gosev_ask_ark_genoa.pem"));
  const AttestationResult given = Appraise(primary_);
  EXPECT_EQ(FailedSteps(given), "vek chain");
  EXPECT_THAT(DetailOf(given, "vek chain"), HasSubstr("found no certificate of SEV-Milan"));
  AddCollateral(SharedVector("snp/gosev_ask_ark_milan.pem"));
  EXPECT_TRUE(Appraise(primary_).accepted());
}

TEST_F(SnpVerifierTest, RefusesAVcekThatAmdDidNotSign) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  for (const char* name : {"snp/trustee_test-vcek-invalid-legacy.der", "snp/trustee_test-vcek-invalid-new.der"}) {
    const Bytes evidence =
        WithCertificate(SharedVector("snp/trustee_test-report.bin"), SigningKey::kVcek, SharedVector(name));
    EXPECT_EQ(FailedSteps(AppraiseUnpinned(evidence)), "vek chain") << name;
  }
}

TEST_F(SnpVerifierTest, NamesACollateralVcekThatAmdDidNotSignWhereNoOtherFits) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  const Bytes report = SharedVector("snp/trustee_test-report.bin");
  for (const char* name : {"snp/trustee_test-vcek-invalid-legacy.der", "snp/trustee_test-vcek-invalid-new.der"}) {
    options_.collateral = {};
    AddCollateral(SharedVector(name));
    EXPECT_EQ(FailedSteps(AppraiseUnpinned(report)), "vek chain") << name;
    AddCollateral(SharedVector("snp/trustee_test-vcek.der"));
    EXPECT_EQ(FailedSteps(AppraiseUnpinned(report)), "") << name;
  }
}

TEST_F(SnpVerifierTest, RefusesAGuestThatMayBeDebugged) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  const AttestationResult result = AppraiseUnpinned(WithCertificate(
      SharedVector("snp/gosev_attestation.bin"), SigningKey::kVcek, SharedVector("snp/gosev_vcek.testcer")));
  EXPECT_EQ(FailedSteps(result), "debug");
  EXPECT_EQ(ClaimOf(result, "policy"), "0xb0000");
  EXPECT_EQ(ClaimOf(result, "measurement"),
            "b07af9620f3b839b47996422ddec6058338951d984e312115131ea82705eaf5b6bdf8a9ece31a5a608eb0cf2e4872b01");
}

// Its CURRENT_TCB is above its REPORTED_TCB, which is what the certificate is for.
TEST_F(SnpVerifierTest, ComparesTheReportedTcbAndNotTheCurrentOne) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  const AttestationResult result = AppraiseUnpinned(WithCertificate(
      SharedVector("snp/trustee_test-report.bin"), SigningKey::kVcek, SharedVector("snp/trustee_test-vcek.der")));
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(ClaimOf(result, "current_tcb"), "03000000000008ce");
  EXPECT_EQ(ClaimOf(result, "reported_tcb"), "0300000000000873");
  EXPECT_EQ(ClaimOf(result, "guest_svn"), "4");
}

TEST_F(SnpVerifierTest, AcceptsTheReportInsideAVtpmBlob) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  AddCollateral(SharedVector("snp/trustee_az_vcek.pem"));
  const Bytes blob = SharedVector("snp/trustee_az_hcl-report.bin");
  const AttestationResult result =
      AppraiseUnpinned(Bytes(blob.begin() + 0x20, blob.begin() + 0x20 + sev_snp::kReportBytes));
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(ClaimOf(result, "measurement"),
            "9ac48fcac8a2d88aeeff8d427ad4f2be0e3917c748a18bdf52cc317e7fe20308b459d5ef1a12e0c22944eb386d17c315");
}

TEST_F(SnpVerifierTest, RefusesOtherKindsAndSizes) {
  kind_ = EvidenceKind::kTdx;
  EXPECT_EQ(FailedSteps(Appraise(primary_)), "kind");
  kind_ = EvidenceKind::kSevSnp;
  EXPECT_EQ(FailedSteps(Appraise(AttestationVector("dcapqvl_tdx_quote.bin"))), "structure");
  for (const size_t size : {size_t{0}, sev_snp::kReportBytes - 1, sev_snp::kReportBytes + 1}) {
    Bytes changed = primary_;
    changed.resize(size);
    EXPECT_EQ(FailedSteps(Appraise(changed)), "structure") << size;
  }
}

TEST_F(SnpVerifierTest, RefusesMalformedCertificateTables) {
  EXPECT_EQ(
      FailedSteps(Appraise(WithTable(milan_, {{testing::kVcekGuid, milan_vcek_}, {testing::kVcekGuid, milan_vcek_}}))),
      "structure");
  EXPECT_EQ(FailedSteps(Appraise(WithTable(milan_, {{testing::kVcekGuid, ToBytes("rubbish")}}))), "structure");
  Bytes outside = primary_;
  outside[sev_snp::kReportBytes + 20] ^= 1;  // the length of the first entry
  outside[sev_snp::kReportBytes + 23] ^= 1;
  EXPECT_EQ(FailedSteps(Appraise(outside)), "structure");
  Bytes endless = milan_;
  endless.resize(sev_snp::kReportBytes + 24 * 65, 1);
  EXPECT_EQ(FailedSteps(Appraise(endless)), "structure");
  EXPECT_TRUE(Appraise(WithTable(milan_, {{std::string(32, '9'), ToBytes("other")}, {testing::kVcekGuid, milan_vcek_}}))
                  .accepted());
}

}  // namespace
}  // namespace shoji::attest
