// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Every single bit of genuine evidence and of its endorsements, flipped: refused, but where nothing authenticates the
// bit, and there every decoded field stays what it was. Under sanitizers a sample.

#include <algorithm>

#include <gtest/gtest.h>

#include "lib/attest/intel/inspected_collateral.h"
#include "lib/attest/intel/root_key.h"
#include "lib/attest/sev_snp/snp_verifier.h"
#include "lib/attest/sgx/sgx_verifier.h"
#include "lib/attest/tdx/tdx_verifier.h"
#include "lib/attest/x509/chain.h"
#include "tests/unit/lib/attest/amd_pki.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::attest {
namespace {

using intel::InspectedCollateral;
using intel::IntelSgxRootKey;
using testing::AttestationVector;
using testing::FlipBit;
using testing::kFlipStride;
using testing::kVectorTime;

constexpr const char* kSgx = "dcapqvl_sgx_quote_v3";
constexpr const char* kTdx = "dcapqvl_tdx_quote";
constexpr size_t kOneOfEachByte = kFlipStride == 1 ? 9 : kFlipStride;

// The bytes of which some bit can be flipped without `refused`, "" when there are none.
template <typename Refused>
std::string AcceptedBytes(const Bytes& good, size_t stride, Refused refused) {
  std::string out;
  size_t last = SIZE_MAX - 1;
  Bytes flipped = good;
  for (size_t bit = 0; bit < good.size() * 8; bit += stride) {
    FlipBit(flipped, bit);
    if (!refused(flipped) && bit / 8 != last) {
      last = bit / 8;
      out += std::to_string(last) + " ";
    }
    FlipBit(flipped, bit);
  }
  return out;
}

// Appraises `good` flipped at every bit, and expects refusal before byte `authenticated`, and the same claims after it.
void ExpectFlipsRefused(const Verifier& verifier, EvidenceKind kind, const Bytes& good, const ReportData& expected,
                        size_t authenticated) {
  const AttestationResult genuine = verifier.Appraise({kind, good}, expected, kVectorTime);
  ASSERT_TRUE(genuine.accepted()) << genuine.ToStatus();
  Evidence flipped = {kind, good};
  for (size_t bit = 0; bit < good.size() * 8; bit += kFlipStride) {
    FlipBit(flipped.data, bit);
    const AttestationResult result = verifier.Appraise(flipped, expected, kVectorTime);
    if (bit / 8 < authenticated) {
      ASSERT_FALSE(result.accepted()) << "byte " << bit / 8 << " bit " << bit % 8;
    } else {
      ASSERT_TRUE(result.accepted()) << "byte " << bit / 8 << " bit " << bit % 8;
      ASSERT_EQ(result.claims, genuine.claims);
    }
    FlipBit(flipped.data, bit);
  }
}

ReportData ReportDataAt(const Bytes& evidence, ptrdiff_t offset) {
  ReportData out = {};
  std::copy_n(evidence.begin() + offset, out.size(), out.begin());
  return out;
}

TEST(BitFlipTest, EveryBitOfTheSgxQuoteIsRefused) {
  SgxVerifier::Options options;
  options.policy.unpinned = Unpinned::kAccepted;
  options.policy.tcb.accepted = {intel::TcbStatus::kUpToDate, intel::TcbStatus::kConfigurationAndSwHardeningNeeded};
  options.collateral = {testing::SgxCollateral()};
  options.root_key = IntelSgxRootKey();
  const auto verifier = SgxVerifier::Create(options);
  ASSERT_TRUE(verifier.ok());
  const Bytes quote = AttestationVector(std::string(kSgx) + ".bin");
  // The last byte is the NUL that ends the text of the certificates.
  ExpectFlipsRefused(**verifier, EvidenceKind::kSgx, quote, ReportDataAt(quote, 0x170), quote.size());
}

TEST(BitFlipTest, EveryBitOfTheTdxQuoteIsRefusedAndWhatFollowsItChangesNothing) {
  TdxVerifier::Options options;
  options.policy.unpinned = Unpinned::kAccepted;
  options.collateral = {testing::TdxCollateral()};
  options.root_key = IntelSgxRootKey();
  const auto verifier = TdxVerifier::Create(options);
  ASSERT_TRUE(verifier.ok());
  const Bytes quote = AttestationVector(std::string(kTdx) + ".bin");
  ExpectFlipsRefused(**verifier, EvidenceKind::kTdx, quote, ReportDataAt(quote, 0x238), 4936);
}

class SnpBitFlipTest : public ::testing::Test {
 protected:
  SnpBitFlipTest() {
    options_.policy.unpinned = Unpinned::kAccepted;
    options_.policy.minimum_tcb[sev_snp::Product::kMilan] = {};
    options_.policy.missing_revocation_list = sev_snp::MissingList::kAccepted;
    options_.roots = sev_snp::AmdRoots();
  }
  // Whether the report is refused with these certificates: VCEK, and if there are more, ASK and ARK.
  bool Refuses(const Verifier& verifier, const std::vector<Bytes>& certificates) {
    std::vector<std::pair<std::string, Bytes>> entries;
    const char* const guids[] = {testing::kVcekGuid, testing::kAskGuid, testing::kArkGuid};
    for (size_t i = 0; i < certificates.size(); ++i) {
      entries.emplace_back(guids[i], certificates[i]);
    }
    const Evidence evidence = {EvidenceKind::kSevSnp, testing::WithTable(report_, entries)};
    return !verifier.Appraise(evidence, ReportDataAt(report_, 0x50), kVectorTime).accepted();
  }

  SnpVerifier::Options options_;
  const Bytes report_ = AttestationVector("virtee_report_milan.bin");
  const Bytes vcek_ = AttestationVector("virtee_vcek_milan.der");
};

TEST_F(SnpBitFlipTest, EveryBitOfTheReportIsRefused) {
  ASSERT_TRUE(sev_snp::AddTo(options_.collateral, vcek_).ok());
  const auto verifier = SnpVerifier::Create(options_);
  ASSERT_TRUE(verifier.ok());
  ExpectFlipsRefused(**verifier, EvidenceKind::kSevSnp, report_, ReportDataAt(report_, 0x50), report_.size());
}

TEST_F(SnpBitFlipTest, EveryBitOfTheVcekIsRefused) {
  const auto verifier = SnpVerifier::Create(options_);
  ASSERT_TRUE(verifier.ok());
  EXPECT_EQ(AcceptedBytes(vcek_, kFlipStride, [&](const Bytes& flipped) { return Refuses(**verifier, {flipped}); }),
            "");
}

// Whether a chain holds does not depend on the report, so each bit is asked of the chain, and of the whole for one bit
// of each byte.
TEST_F(SnpBitFlipTest, EveryBitOfTheAuthoritiesIsRefused) {
  const auto verifier = SnpVerifier::Create(options_);
  ASSERT_TRUE(verifier.ok());
  const std::vector<x509::Certificate> chain = {*x509::Certificate::FromDer(vcek_), sev_snp::AmdIntermediates()[0],
                                                sev_snp::AmdRoots()[0].ark};
  const Bytes root_key = chain[2].PublicKeyInfo();
  for (size_t i = 1; i < chain.size(); ++i) {
    const Bytes good = chain[i].Der();
    std::vector<Bytes> table = {vcek_, chain[1].Der(), chain[2].Der()};
    const auto refused_as_a_whole = [&](const Bytes& flipped) {
      table[i] = flipped;
      return Refuses(**verifier, table);
    };
    const auto refused = [&](const Bytes& flipped) {
      const auto parsed = x509::Certificate::FromDer(flipped);
      if (!parsed.ok()) {
        return true;
      }
      std::vector<x509::Certificate> changed = chain;
      changed[i] = *parsed;
      return !x509::VerifyChain(changed, {&root_key, 1}).ok();
    };
    EXPECT_FALSE(refused(good) || refused_as_a_whole(good));
    EXPECT_EQ(AcceptedBytes(good, kFlipStride, refused), "") << i;
    EXPECT_EQ(AcceptedBytes(good, kOneOfEachByte, refused_as_a_whole), "") << i;
  }
}

// Each part of Intel's collateral by itself: the tests of the verifiers show that evidence is refused where a part does
// not stand in InspectedCollateral.
class CollateralBitFlipTest : public ::testing::TestWithParam<const char*> {
 protected:
  CollateralBitFlipTest()
      : good_(testing::CollateralOf(AttestationVector(std::string(GetParam()) + ".collateral.json"))),
        signer_(x509::CertificatesFromPem(good_.tcb_info.issuer_chain)->front()) {}

  bool RefusesTcbInfo(const intel::SignedText& text) {
    intel::Collateral changed;
    changed.tcb_info = text;
    return !intel::Inspect(changed, IntelSgxRootKey()).tcb_info.ok();
  }
  bool RefusesQeIdentity(const intel::SignedText& text) {
    intel::Collateral changed;
    changed.qe_identity = text;
    return !intel::Inspect(changed, IntelSgxRootKey()).qe_identity.ok();
  }
  // Every bit of text and signature, by the check that is made first.
  void ExpectTextRefused(const intel::SignedText& good) {
    intel::SignedText changed = good;
    EXPECT_TRUE(intel::IsSignedBy(changed, signer_));
    for (Bytes intel::SignedText::*part : {&intel::SignedText::text, &intel::SignedText::signature}) {
      EXPECT_EQ(AcceptedBytes(good.*part, kFlipStride,
                              [&](const Bytes& flipped) {
                                changed.*part = flipped;
                                return !intel::IsSignedBy(changed, signer_);
                              }),
                "");
      changed = good;
    }
  }

  const intel::Collateral good_;
  const x509::Certificate signer_;
};

TEST_P(CollateralBitFlipTest, EveryBitOfTheTcbInfoIsRefused) {
  ExpectTextRefused(good_.tcb_info);
  EXPECT_FALSE(RefusesTcbInfo(good_.tcb_info));
  intel::SignedText changed = good_.tcb_info;
  EXPECT_EQ(AcceptedBytes(good_.tcb_info.text, kOneOfEachByte,
                          [&](const Bytes& flipped) {
                            changed.text = flipped;
                            return RefusesTcbInfo(changed);
                          }),
            "");
}

TEST_P(CollateralBitFlipTest, EveryBitOfTheQeIdentityIsRefused) {
  ExpectTextRefused(good_.qe_identity);
  EXPECT_FALSE(RefusesQeIdentity(good_.qe_identity));
  intel::SignedText changed = good_.qe_identity;
  EXPECT_EQ(AcceptedBytes(good_.qe_identity.text, kOneOfEachByte,
                          [&](const Bytes& flipped) {
                            changed.text = flipped;
                            return RefusesQeIdentity(changed);
                          }),
            "");
}

TEST_P(CollateralBitFlipTest, EveryBitOfTheSignersCertificatesIsRefused) {
  ASSERT_EQ(good_.tcb_info.issuer_chain, good_.qe_identity.issuer_chain);
  ASSERT_EQ(good_.tcb_info.issuer_chain, testing::TdxCollateral().tcb_info.issuer_chain);
  intel::SignedText changed = good_.qe_identity;  // the shorter text
  const size_t stride = std::string(GetParam()) == kSgx ? kFlipStride : kOneOfEachByte;
  EXPECT_EQ(AcceptedBytes(good_.qe_identity.issuer_chain, stride,
                          [&](const Bytes& flipped) {
                            changed.issuer_chain = flipped;
                            return RefusesQeIdentity(changed);
                          }),
            "");
}

TEST_P(CollateralBitFlipTest, EveryBitOfTheRevocationListsIsRefused) {
  const auto pck_issuer = x509::CertificatesFromPem(good_.pck_crl_issuer_chain);
  const auto root_issuer = x509::CertificatesFromPem(good_.tcb_info.issuer_chain);
  ASSERT_TRUE(pck_issuer.ok() && root_issuer.ok());
  const std::pair<const Bytes*, const x509::Certificate*> lists[] = {{&good_.pck_crl, &pck_issuer->front()},
                                                                     {&good_.root_ca_crl, &root_issuer->back()}};
  for (const auto& [good, issuer] : lists) {
    const auto refused = [&issuer = issuer](const Bytes& der) {
      const auto list = x509::RevocationList::FromDer(der);
      return !list.ok() || !list->CheckIssuedBy(*issuer).ok();
    };
    EXPECT_FALSE(refused(*good));
    EXPECT_EQ(AcceptedBytes(*good, kFlipStride, refused), "");
  }
}

TEST_P(CollateralBitFlipTest, EveryBitOfTheChainOfThePckRevocationListIsRefused) {
  intel::Collateral changed;
  changed.pck_crl = good_.pck_crl;
  const auto refused = [&](const Bytes& chain) {
    changed.pck_crl_issuer_chain = chain;
    return !intel::Inspect(changed, IntelSgxRootKey()).pck_crl.ok();
  };
  EXPECT_FALSE(refused(good_.pck_crl_issuer_chain));
  EXPECT_EQ(AcceptedBytes(good_.pck_crl_issuer_chain, kFlipStride, refused), "");
}

INSTANTIATE_TEST_SUITE_P(Genuine, CollateralBitFlipTest, ::testing::Values(kSgx, kTdx),
                         [](const auto& test) { return test.param == kSgx ? "Sgx" : "Tdx"; });

}  // namespace
}  // namespace shoji::attest
