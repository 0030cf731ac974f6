// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What no genuine vector shows: a Turin report, and revocation lists of AMD's form. The keys are made here, so these
// reports are synthetic; for Turin only the certificate chain at the end is genuine.

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/attest/sev_snp/chain_choice.h"
#include "lib/attest/sev_snp/snp_verifier.h"
#include "lib/attest/x509/chain.h"
#include "tests/unit/lib/attest/amd_pki.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::attest {
namespace {

using sev_snp::Product;
using sev_snp::SigningKey;
using testing::AmdPki;
using testing::AttestationVector;
using testing::ClaimOf;
using testing::DetailOf;
using testing::FailedSteps;
using ::testing::HasSubstr;
using testing::kVectorTime;

class SnpSyntheticTest : public ::testing::Test {
 protected:
  SnpSyntheticTest() {
    options_.policy.unpinned = Unpinned::kAccepted;
    options_.policy.minimum_tcb[Product::kTurin] = tcb_;
    options_.roots = {pki_.root()};
    AddList(pki_.RevocationList(true, kVectorTime - kDay, kVectorTime + kDay, {1000}));
    expected_.fill(0x5A);
    vek_.tcb = tcb_;
    vek_.hardware_id = chip_id_;
    report_ = testing::TurinReport(tcb_, chip_id_, Bytes(64, 0x5A));
  }
  void AddList(const Bytes& der) {
    const absl::Status status = sev_snp::AddTo(options_.collateral, der);
    EXPECT_TRUE(status.ok()) << status;
  }
  AttestationResult Appraise() {
    pki_.Sign(report_);
    const bool vcek = vek_.kind == SigningKey::kVcek;
    Bytes data = testing::WithTable(report_, {{vcek ? testing::kVcekGuid : testing::kVlekGuid, pki_.Vek(vek_)},
                                              {testing::kAskGuid, pki_.ask()},
                                              {testing::kArkGuid, pki_.ark()}});
    absl::StatusOr<std::unique_ptr<Verifier>> verifier = SnpVerifier::Create(options_);
    EXPECT_TRUE(verifier.ok()) << verifier.status();
    return (*verifier)->Appraise({EvidenceKind::kSevSnp, std::move(data)}, expected_, kVectorTime);
  }

  static constexpr std::chrono::hours kDay = std::chrono::hours(24);
  const AmdPki& pki_ = AmdPki::Turin();
  const sev_snp::TcbVersion tcb_ = {.fmc = 1, .bootloader = 2, .tee = 3, .snp = 4, .microcode = 0xD9};
  const Bytes chip_id_ = {1, 2, 3, 4, 5, 6, 7, 8};
  SnpVerifier::Options options_;
  ReportData expected_ = {};
  testing::VekOptions vek_;
  Bytes report_;
};

TEST_F(SnpSyntheticTest, AcceptsATurinReportOfVersion5) {
  const AttestationResult result = Appraise();
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(ClaimOf(result, "product"), "Turin");
  EXPECT_EQ(ClaimOf(result, "report_version"), "5");
  EXPECT_EQ(ClaimOf(result, "reported_tcb"), "01020304000000d9");
  EXPECT_EQ(ClaimOf(result, "cpuid"), "1a0201");
  EXPECT_EQ(ClaimOf(result, "launch_mitigations"), "0x5");
  EXPECT_EQ(ClaimOf(result, "current_mitigations"), "0x7");
  EXPECT_THAT(DetailOf(result, "minimum tcb"), HasSubstr("fmc 1, bootloader 2, tee 3, snp 4, microcode 217"));
}

TEST_F(SnpSyntheticTest, TakesTheHardwareIdInBothEncodings) {
  vek_.hardware_id = {4, 8};
  Append(vek_.hardware_id, chip_id_);
  EXPECT_TRUE(Appraise().accepted());
  vek_.hardware_id = chip_id_;
  vek_.hardware_id.resize(64);
  EXPECT_TRUE(Appraise().accepted());
  vek_.hardware_id.resize(63);
  EXPECT_EQ(FailedSteps(Appraise()), "vek certificate");
}

TEST_F(SnpSyntheticTest, RefusesAKeyOfAnotherChip) {
  vek_.hardware_id[0] ^= 1;
  EXPECT_EQ(FailedSteps(Appraise()), "chip id");
}

TEST_F(SnpSyntheticTest, RefusesAKeyForAnotherTcb) {
  for (uint8_t sev_snp::TcbVersion::*part :
       {&sev_snp::TcbVersion::fmc, &sev_snp::TcbVersion::bootloader, &sev_snp::TcbVersion::tee,
        &sev_snp::TcbVersion::snp, &sev_snp::TcbVersion::microcode}) {
    vek_.tcb = tcb_;
    vek_.tcb.*part = static_cast<uint8_t>(vek_.tcb.*part + 1);
    EXPECT_EQ(FailedSteps(Appraise()), "reported tcb");
    vek_.tcb = tcb_;
    options_.policy.minimum_tcb[Product::kTurin] = tcb_;
    uint8_t& minimum = options_.policy.minimum_tcb[Product::kTurin].*part;
    minimum = static_cast<uint8_t>(minimum + 1);
    EXPECT_EQ(FailedSteps(Appraise()), "minimum tcb");
    options_.policy.minimum_tcb[Product::kTurin] = tcb_;
  }
}

TEST_F(SnpSyntheticTest, RefusesAnotherProcessorThanTheChainIsFor) {
  report_[0x188] = 0x19;
  EXPECT_EQ(FailedSteps(Appraise()), "product");
  report_[0x188] = 0x1A;
  vek_.product_name = "Genoa";
  EXPECT_EQ(FailedSteps(Appraise()), "product");
}

TEST_F(SnpSyntheticTest, RefusesGuestsThatMayBeDebugged) {
  report_[0x0A] |= 8;  // bit 19 of the policy
  EXPECT_EQ(FailedSteps(Appraise()), "debug");
}

TEST_F(SnpSyntheticTest, RefusesMigratableGuests) {
  report_[0x0A] |= 4;  // bit 18 of the policy
  EXPECT_EQ(FailedSteps(Appraise()), "migration");
}

TEST_F(SnpSyntheticTest, RefusesFieldsThatItDoesNotUnderstand) {
  for (const auto& [offset, value] : {std::pair<size_t, uint8_t>{0x000, 6},
                                      {0x000, 1},
                                      {0x034, 2},
                                      {0x048, 2 << 2},
                                      {0x048, 7 << 2},
                                      {0x00A, 0x01}}) {
    const Bytes good = report_;
    report_[offset] = value;
    EXPECT_EQ(FailedSteps(Appraise()), "structure") << offset;
    report_ = good;
  }
}

TEST_F(SnpSyntheticTest, AppraisesAVlekByItsProviderAndNotByTheChip) {
  vek_.kind = SigningKey::kVlek;
  report_[0x048] = 1 << 2;
  std::fill_n(report_.begin() + 0x1A0, 64, uint8_t{0});
  const AttestationResult result = Appraise();
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(ClaimOf(result, "csp_id"), "CN=cloud.example");
  report_[0x048] = 0;
  EXPECT_EQ(FailedSteps(Appraise()), "endorsement key");
}

TEST_F(SnpSyntheticTest, RefusesARevokedIssuer) {
  AddList(pki_.RevocationList(true, kVectorTime - kDay, kVectorTime + kDay, {AmdPki::kAskSerial}));
  const AttestationResult result = Appraise();
  EXPECT_EQ(FailedSteps(result), "revocation");
  EXPECT_THAT(DetailOf(result, "revocation"), HasSubstr("SEV-Turin is revoked"));
}

TEST_F(SnpSyntheticTest, RefusesAKeyRevokedByItsIssuer) {
  AddList(pki_.RevocationList(false, kVectorTime - kDay, kVectorTime + kDay, {AmdPki::kVekSerial}));
  EXPECT_EQ(FailedSteps(Appraise()), "revocation");
}

TEST_F(SnpSyntheticTest, RefusesRevocationListsOutOfDateHoweverMissingOnesAreTreated) {
  for (const auto missing : {sev_snp::MissingList::kRefused, sev_snp::MissingList::kAccepted}) {
    options_.policy.missing_revocation_list = missing;
    options_.collateral = {};
    AddList(pki_.RevocationList(true, kVectorTime - 3 * kDay, kVectorTime - kDay, {}));
    EXPECT_EQ(FailedSteps(Appraise()), "revocation list, revocation");
    options_.collateral = {};
    AddList(pki_.RevocationList(true, kVectorTime + kDay, kVectorTime + 3 * kDay, {}));
    EXPECT_EQ(FailedSteps(Appraise()), "revocation list, revocation");
  }
}

TEST_F(SnpSyntheticTest, RefusesRevocationListsOfTheIssuerAlone) {
  options_.collateral = {};
  AddList(pki_.RevocationList(false, kVectorTime - kDay, kVectorTime + kDay, {}));
  EXPECT_EQ(FailedSteps(Appraise()), "revocation list, revocation");
}

TEST_F(SnpSyntheticTest, AListOfTheIssuerHoldsWhereThatOfTheRootIsOptional) {
  options_.policy.missing_revocation_list = sev_snp::MissingList::kAccepted;
  options_.collateral = {};
  EXPECT_EQ(FailedSteps(Appraise()), "");
  AddList(pki_.RevocationList(false, kVectorTime - kDay, kVectorTime + kDay, {AmdPki::kVekSerial}));
  EXPECT_EQ(FailedSteps(Appraise()), "revocation");
}

TEST_F(SnpSyntheticTest, RefusesEveryFlippedBitOfTheRevocationList) {
  const Bytes good = pki_.RevocationList(true, kVectorTime - kDay, kVectorTime + kDay, {1000});
  for (size_t bit = 0; bit < good.size() * 8; bit += 7 * testing::kFlipStride) {
    Bytes flipped = good;
    testing::FlipBit(flipped, bit);
    options_.collateral = {};
    if (sev_snp::AddTo(options_.collateral, flipped).ok()) {
      EXPECT_EQ(FailedSteps(Appraise()), "revocation list, revocation") << "bit " << bit;
    }
  }
}

TEST_F(SnpSyntheticTest, RefusesRevocationListsOlderThanThePolicyAllows) {
  options_.policy.maximum_collateral_age = std::chrono::hours(25);
  EXPECT_TRUE(Appraise().accepted());
  options_.policy.maximum_collateral_age = std::chrono::hours(23);
  EXPECT_EQ(FailedSteps(Appraise()), "collateral age");
}

TEST_F(SnpSyntheticTest, RefusesRootsThatAreNotTrusted) {
  options_.roots = sev_snp::AmdRoots();
  const AttestationResult result = Appraise();
  EXPECT_EQ(FailedSteps(result), "vek chain");
  EXPECT_THAT(DetailOf(result, "vek chain"), HasSubstr("not AMD's"));
}

TEST(TurinChainTest, TheGenuineVcekOfTurinChainsToAmd) {
  const auto vcek = x509::Certificate::FromDer(AttestationVector("virtee_vcek_turin.der"));
  ASSERT_TRUE(vcek.ok()) << vcek.status();
  const auto chain = sev_snp::ChooseChain(*vcek, {}, {}, sev_snp::AmdRoots());
  ASSERT_TRUE(chain.ok()) << chain.status();
  const Bytes root = sev_snp::AmdRoots()[2].ark.PublicKeyInfo();
  EXPECT_TRUE(x509::VerifyChain(*chain, {&root, 1}).ok());
  const auto key = sev_snp::ReadEndorsementKey(*vcek);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(key->product_name, "Turin");
  EXPECT_EQ(key->hardware_id.size(), 8U);
}

TEST(AmdRootsTest, EveryIntermediateChainsToTheRootOfItsLine) {
  for (size_t i = 0; i < sev_snp::AmdIntermediates().size(); ++i) {
    const sev_snp::Root& root = sev_snp::AmdRoots()[i / 2];
    const Bytes key = root.ark.PublicKeyInfo();
    const std::vector<x509::Certificate> chain = {sev_snp::AmdIntermediates()[i], root.ark};
    EXPECT_TRUE(x509::VerifyChain(chain, {&key, 1}).ok()) << i;
    EXPECT_EQ(root.ark.CommonName(), "ARK-" + std::string(NameOf(root.product)));
  }
}

}  // namespace
}  // namespace shoji::attest
