// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/asn1.h>

#include "lib/attest/intel/quote.h"
#include "lib/attest/intel/root_key.h"
#include "lib/attest/x509/certificate.h"
#include "lib/attest/x509/chain.h"
#include "lib/attest/x509/der.h"
#include "lib/attest/x509/ecdsa.h"
#include "lib/attest/x509/openssl_values.h"
#include "lib/attest/x509/pem.h"
#include "tests/support/hex.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::attest::x509 {
namespace {

using testing::AttestationVector;
using testing::FromHex;
using ::testing::HasSubstr;
using testing::UnixTime;

const Bytes& RootKey() { return intel::IntelSgxRootKey(); }

std::vector<Certificate> PckChain() {
  const auto quote = intel::ParseQuote(AttestationVector("dcapqvl_sgx_quote_v3.bin"));
  return *CertificatesFromPem(quote->pck_chain);
}

std::string ChainError(const std::vector<Certificate>& chain) {
  return std::string(VerifyChain(chain, {&RootKey(), 1}).message());
}

TEST(PemTest, DecodesBlocksInOrder) {
  const std::string text =
      "-----BEGIN X-----\nAQI=\n-----END X-----\n\r\n-----BEGIN X-----\r\nAw\r\n==\r\n-----END X-----";
  const auto blocks = DecodePem(AsBytes(text + std::string(2, '\0')), "X");
  ASSERT_TRUE(blocks.ok()) << blocks.status();
  EXPECT_THAT(*blocks, ::testing::ElementsAre(Bytes{1, 2}, Bytes{3}));
}

TEST(PemTest, RefusesEverythingElse) {
  for (const char* text : {
           "",
           "AQI=",
           "text\n-----BEGIN X-----\nAQI=\n-----END X-----\n",
           "-----BEGIN X-----\nAQI=\n-----END X-----\ntext",
           "-----BEGIN X-----\nAQI=\n-----END Y-----\n",
           "-----BEGIN Y-----\nAQI=\n-----END Y-----\n",
           "-----BEGIN X-----AQI=\n-----END X-----\n",
           "-----BEGIN X-----\n-----END X-----\n",
           "-----BEGIN X-----\nAQI\n-----END X-----\n",
           "-----BEGIN X-----\nAQ I=\n-----END X-----\n",
           "-----BEGIN X-----\nAQ==AQI=\n-----END X-----\n",
           "-----BEGIN X-----\n====\n-----END X-----\n",
           "-----BEGIN X-----\nAQJ=\n-----END X-----\n",  // bits after the end
           "-----BEGIN X-----\nAR==\n-----END X-----\n",
           "-----BEGIN X-----\nA*I=\n-----END X-----\n",
           "-----BEGIN X-----\nAQI=\n",
       }) {
    EXPECT_FALSE(DecodePem(AsBytes(text), "X").ok()) << text;
  }
}

TEST(DerTest, ReadsElementsUpToTheEnd) {
  const Bytes bytes = FromHex("0201053003020107");
  DerReader reader(bytes);
  EXPECT_EQ(*DerUnsigned(*reader.Next(kDerInteger), 5), 5U);
  DerReader inner(*reader.Next(kDerSequence));
  EXPECT_FALSE(reader.Next().ok());
  EXPECT_EQ(*DerUnsigned(*inner.Next(kDerInteger), 7), 7U);
  EXPECT_TRUE(inner.empty());
}

TEST(DerTest, RefusesLengthsThatAreWrongOrNotMinimal) {
  for (const char* hex :
       {"", "02", "020205", "028101", "02810105", "0282000105", "0280", "1f0105", "0284000000010", "02830100"}) {
    std::string digits = hex;
    digits += digits.size() % 2 == 0 ? "" : "0";
    const Bytes bytes = FromHex(digits);
    EXPECT_FALSE(DerReader(bytes).Next().ok()) << hex;
  }
}

TEST(DerTest, RefusesIntegersThatAreNegativeLargeOrPadded) {
  EXPECT_EQ(*DerUnsigned(FromHex("00d9"), 255), 217U);
  EXPECT_EQ(*DerUnsigned(FromHex("00ffffffff"), UINT32_MAX), UINT32_MAX);
  for (const char* hex : {"", "d9", "0005", "0100", "0100000000"}) {
    EXPECT_FALSE(DerUnsigned(FromHex(hex), 255).ok()) << hex;
  }
}

TEST(DerTest, ReadsObjectIdentifiers) {
  EXPECT_EQ(*DerObjectIdentifier(FromHex("2a864886f84d010d01")), "1.2.840.113741.1.13.1");
  EXPECT_EQ(*DerObjectIdentifier(FromHex("8837")), "2.999");
  for (const char* hex : {"", "2a86", "2a8001", "2affffffffffffffffff7f"}) {
    EXPECT_FALSE(DerObjectIdentifier(FromHex(hex)).ok()) << hex;
  }
}

TEST(CertificateTest, ReadsNamesTimesAndExtensions) {
  const Certificate leaf = PckChain().front();
  EXPECT_EQ(leaf.CommonName(), "Intel SGX PCK Certificate");
  EXPECT_EQ(leaf.IssuerCommonName(), "Intel SGX PCK Processor CA");
  EXPECT_THAT(leaf.Subject(), HasSubstr("O=Intel Corporation"));
  EXPECT_EQ(TimeToString(leaf.validity().from), "2023-09-20T21:53:43Z");
  EXPECT_EQ(TimeToString(leaf.validity().until), "2030-09-20T21:53:43Z");
  EXPECT_EQ(HexEncode(leaf.SerialNumber()), "81b77732b761e98eb9b963a4abd1e5b9bf5dd8d6");
  EXPECT_TRUE(leaf.Extension("1.2.840.113741.1.13.1").has_value());
  EXPECT_FALSE(leaf.Extension("1.2.3.4").has_value());
  EXPECT_FALSE(leaf.Extension("not an identifier").has_value());
}

TEST(CertificateTest, RefusesWhatDoesNotEncodeToItself) {
  const Bytes der = PckChain().front().Der();
  EXPECT_TRUE(Certificate::FromDer(der).ok());
  Bytes longer = der;
  longer.push_back(0);
  EXPECT_FALSE(Certificate::FromDer(longer).ok());
  EXPECT_FALSE(Certificate::FromDer({}).ok());
  EXPECT_FALSE(Certificate::FromDer(Bytes(size_t{2} << 20, 0x30)).ok());
  for (size_t size = 0; size < der.size(); size += 7) {
    EXPECT_FALSE(Certificate::FromDer(ByteSpan(der).first(size)).ok());
  }
  Bytes indefinite = der;  // BER: 30 80 ... 00 00
  indefinite.erase(indefinite.begin() + 1, indefinite.begin() + 4);
  indefinite.insert(indefinite.begin() + 1, 0x80);
  Append(indefinite, Bytes{0, 0});
  EXPECT_FALSE(Certificate::FromDer(indefinite).ok());
}

TEST(ChainTest, AcceptsAGenuineChain) { EXPECT_EQ(ChainError(PckChain()), ""); }

TEST(ChainTest, RefusesChainsThatAreShortOutOfOrderOrMoreThanAChain) {
  const std::vector<Certificate> good = PckChain();
  EXPECT_THAT(ChainError({good[2]}), HasSubstr("a chain of 1 certificates"));
  EXPECT_NE(ChainError({good[0], good[2]}), "");
  EXPECT_NE(ChainError({good[1], good[0], good[2]}), "");
  EXPECT_THAT(ChainError({good[0], good[1]}), HasSubstr("a key that is not the vendor's"));
  EXPECT_THAT(ChainError({good[0], good[1], good[1], good[2]}), HasSubstr("no chain in the order given"));
  EXPECT_NE(ChainError({good[0], good[1], good[2], good[2]}), "");
}

TEST(ChainTest, RefusesALeafThatSigns) {
  const std::vector<Certificate> good = PckChain();
  EXPECT_NE(ChainError({good[1], good[1], good[2]}), "");
}

TEST(ChainTest, RefusesTimesOutsideOfAnyCertificate) {
  const std::vector<Certificate> chain = PckChain();
  EXPECT_TRUE(CheckValidity(chain, testing::kVectorTime).ok());
  const Validity leaf = chain.front().validity();
  EXPECT_TRUE(CheckValidity(chain, leaf.from).ok());
  EXPECT_TRUE(CheckValidity(chain, leaf.until).ok());
  EXPECT_FALSE(CheckValidity(chain, leaf.from - std::chrono::seconds(1)).ok());
  const absl::Status late = CheckValidity(chain, leaf.until + std::chrono::seconds(1));
  EXPECT_THAT(std::string(late.message()), HasSubstr("to 2030-09-20T21:53:43Z, not at 2030-09-20T21:53:44Z"));
}

TEST(RevocationListTest, IsRefusedFromAnotherIssuer) {
  const intel::Collateral collateral = testing::TdxCollateral();
  const auto list = RevocationList::FromDer(collateral.pck_crl);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->num_revoked(), 44U);
  const std::vector<Certificate> issuers = *CertificatesFromPem(collateral.pck_crl_issuer_chain);
  EXPECT_TRUE(list->CheckIssuedBy(issuers[0]).ok());
  EXPECT_THAT(std::string(list->CheckIssuedBy(issuers[1]).message()), HasSubstr("expected a revocation list of"));
  EXPECT_THAT(std::string(list->CheckIssuedBy(PckChain()[1]).message()), HasSubstr("Processor CA"));
}

TEST(RevocationListTest, RefusesWhatIsNone) {
  EXPECT_FALSE(RevocationList::FromDer({}).ok());
  EXPECT_FALSE(RevocationList::FromDer(PckChain()[0].Der()).ok());
  Bytes longer = testing::TdxCollateral().root_ca_crl;
  longer.push_back(0);
  EXPECT_FALSE(RevocationList::FromDer(longer).ok());
}

class EcdsaTest : public ::testing::Test {
 protected:
  const intel::Quote quote_ = *intel::ParseQuote(AttestationVector("dcapqvl_sgx_quote_v3.bin"));
  const Bytes signature_ = Bytes(quote_.signature.begin(), quote_.signature.end());
  const EcdsaPublicKey key_ = *EcdsaPublicKey::FromPoint(EcdsaScheme::kP256Sha256, quote_.attestation_key);
};

TEST_F(EcdsaTest, VerifiesAGenuineSignature) { EXPECT_TRUE(key_.Verifies(quote_.signed_part, signature_)); }

TEST_F(EcdsaTest, RefusesScalarsThatAreZeroOrNotBelowTheOrder) {
  const Bytes order = FromHex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  for (const ptrdiff_t half : {0, 32}) {
    for (const Bytes& scalar : {Bytes(32, 0), order, Bytes(32, 0xFF)}) {
      Bytes changed = signature_;
      std::copy(scalar.begin(), scalar.end(), changed.begin() + half);
      EXPECT_FALSE(key_.Verifies(quote_.signed_part, changed));
    }
  }
  EXPECT_FALSE(key_.Verifies(quote_.signed_part, Bytes(64, 0)));
  EXPECT_FALSE(key_.Verifies(quote_.signed_part, ByteSpan(signature_).first(63)));
  EXPECT_FALSE(key_.Verifies(quote_.signed_part, {}));
}

TEST_F(EcdsaTest, RefusesKeysThatAreNoPointsOrOfAnotherCurve) {
  Bytes point(quote_.attestation_key.begin(), quote_.attestation_key.end());
  point[0] ^= 1;
  EXPECT_FALSE(EcdsaPublicKey::FromPoint(EcdsaScheme::kP256Sha256, point).ok());
  EXPECT_FALSE(EcdsaPublicKey::FromPoint(EcdsaScheme::kP256Sha256, Bytes(64, 0)).ok());
  EXPECT_FALSE(EcdsaPublicKey::FromPoint(EcdsaScheme::kP384Sha384, quote_.attestation_key).ok());
  EXPECT_FALSE(EcdsaPublicKey::Of(EcdsaScheme::kP384Sha384, PckChain()[0]).ok());
  EXPECT_TRUE(EcdsaPublicKey::Of(EcdsaScheme::kP256Sha256, PckChain()[0]).ok());
  const auto vcek = Certificate::FromDer(AttestationVector("virtee_vcek_milan.der"));
  EXPECT_FALSE(EcdsaPublicKey::Of(EcdsaScheme::kP256Sha256, *vcek).ok());
}

TEST(TimeTest, IsHeldToWhatTheSystemClockCounts) {
  const auto time_of = [](const char* text) {
    const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> time(ASN1_TIME_new(), ASN1_TIME_free);
    EXPECT_EQ(ASN1_TIME_set_string(time.get(), text), 1) << text;
    return TimeOf(time.get()).value();
  };
  EXPECT_EQ(time_of("00000101000000Z"), SystemTime::min());
  EXPECT_EQ(time_of("99991231235959Z"), SystemTime::max());
  EXPECT_EQ(time_of("20250101000000Z"), SystemTime(std::chrono::seconds(1735689600)));
}

}  // namespace
}  // namespace shoji::attest::x509
