// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/simulated/simulated_verifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/simulated_signer.h"

namespace shoji::attest {
namespace {

using ::testing::HasSubstr;
using testing::SimulatedSigner;

class SimulatedVerifierTest : public ::testing::Test {
 protected:
  SimulatedVerifierTest() {
    expected_.fill(9);
    sample_.report_data = expected_;
    sample_.measurement.fill(4);
  }
  AttestationResult Appraise(const SimulatedEvidence& evidence) {
    return AppraiseBytes(EncodeSimulatedEvidence(evidence));
  }
  AttestationResult AppraiseBytes(Bytes bytes) {
    absl::StatusOr<std::unique_ptr<Verifier>> verifier = SimulatedVerifier::Create(options_);
    EXPECT_TRUE(verifier.ok());
    return (*verifier)->Appraise({EvidenceKind::kSimulated, std::move(bytes)}, expected_, SystemTime());
  }
  std::string Refusal(const SimulatedEvidence& evidence) {
    return std::string(Appraise(evidence).ToStatus().message());
  }

  SimulatedSigner signer_;
  ReportData expected_ = {};
  SimulatedEvidence sample_;
  SimulatedVerifier::Options options_{{signer_.public_key()}, {}};
};

TEST_F(SimulatedVerifierTest, AcceptsGenuineEvidence) {
  const AttestationResult result = Appraise(signer_.Sign(sample_));
  EXPECT_TRUE(result.accepted()) << result.ToStatus();
  EXPECT_EQ(result.steps.size(), 6U);
}

TEST_F(SimulatedVerifierTest, RefusesEveryFlippedBit) {
  const Bytes good = EncodeSimulatedEvidence(signer_.Sign(sample_));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes flipped = good;
    flipped[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(AppraiseBytes(flipped).accepted()) << "bit " << bit;
  }
}

TEST_F(SimulatedVerifierTest, RefusesEveryTruncationAndExtension) {
  Bytes bytes = EncodeSimulatedEvidence(signer_.Sign(sample_));
  bytes.push_back(0);
  EXPECT_FALSE(AppraiseBytes(bytes).accepted());
  for (size_t size = 0; size < kSimulatedEvidenceBytes; ++size) {
    EXPECT_FALSE(AppraiseBytes({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)}).accepted());
  }
}

TEST_F(SimulatedVerifierTest, RefusesAnotherSignerAndNamesBothKeys) {
  const SimulatedSigner other;
  const std::string refusal = Refusal(other.Sign(sample_));
  EXPECT_THAT(refusal, HasSubstr("'signer'"));
  EXPECT_THAT(refusal, HasSubstr(HexEncode(other.public_key())));
  EXPECT_THAT(refusal, HasSubstr(HexEncode(signer_.public_key())));
}

TEST_F(SimulatedVerifierTest, RefusesASignatureOfAnotherKeyUnderTheKnownName) {
  const SimulatedSigner other;
  SimulatedEvidence forged = other.Sign(sample_);
  forged.signer = signer_.public_key();
  EXPECT_THAT(Refusal(forged), HasSubstr("'signature'"));
}

TEST_F(SimulatedVerifierTest, RefusesReportDataOfAnotherManifestOrNonce) {
  sample_.report_data[0] ^= 1;
  EXPECT_THAT(Refusal(signer_.Sign(sample_)), HasSubstr("'report data'"));
}

TEST_F(SimulatedVerifierTest, RefusesADebugEnclave) {
  sample_.debug = true;
  EXPECT_THAT(Refusal(signer_.Sign(sample_)), HasSubstr("'debug'"));
}

TEST_F(SimulatedVerifierTest, RefusesAMeasurementThatIsNotAllowed) {
  digest::Sha256Digest allowed = {};
  allowed.fill(5);
  options_.measurements = {allowed};
  EXPECT_THAT(Refusal(signer_.Sign(sample_)), HasSubstr("'measurement'"));
  options_.measurements = {allowed, sample_.measurement};
  EXPECT_TRUE(Appraise(signer_.Sign(sample_)).accepted());
}

TEST_F(SimulatedVerifierTest, RefusesEvidenceLabelledAsAnotherKind) {
  absl::StatusOr<std::unique_ptr<Verifier>> verifier = SimulatedVerifier::Create(options_);
  ASSERT_TRUE(verifier.ok());
  const Evidence relabelled = {EvidenceKind::kSgx, EncodeSimulatedEvidence(signer_.Sign(sample_))};
  EXPECT_FALSE((*verifier)->Appraise(relabelled, expected_, SystemTime()).accepted());
}

TEST_F(SimulatedVerifierTest, CannotBeMadeWithoutASigner) { EXPECT_FALSE(SimulatedVerifier::Create({}).ok()); }

TEST(AttestationResultTest, NothingAppraisedIsNotAccepted) {
  EXPECT_FALSE(AttestationResult().accepted());
  EXPECT_FALSE(AttestationResult().ToStatus().ok());
}

TEST(Ed25519PublicKeyPemTest, RefusesWhatIsNoKey) {
  EXPECT_FALSE(ParseEd25519PublicKeyPem(AsBytes("hello")).ok());
  EXPECT_FALSE(ParseEd25519PublicKeyPem({}).ok());
}

}  // namespace
}  // namespace shoji::attest
