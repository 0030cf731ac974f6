// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/intel/collateral.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/attest/intel/collateral_files.h"
#include "lib/attest/intel/inspected_collateral.h"
#include "lib/attest/intel/root_key.h"
#include "lib/attest/sev_snp/authorities.h"
#include "lib/attest/sev_snp/collateral.h"
#include "lib/base/file.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji::attest {
namespace {

using intel::Collateral;
using intel::LoadCollateral;
using intel::ParseCollateralJson;
using intel::ParsePcsBody;
using testing::AttestationVector;
using ::testing::HasSubstr;

Bytes Json() { return AttestationVector("dcapqvl_sgx_quote_v3.collateral.json"); }

std::string Body(const std::string& key, const intel::SignedText& text) {
  return "{\"" + key + "\":" + ToString(text.text) + ",\"signature\":\"" + HexEncode(text.signature) + "\"}";
}

TEST(CollateralJsonTest, TakesEveryPartByteByByte) {
  const auto collateral = ParseCollateralJson(Json(), "name");
  ASSERT_TRUE(collateral.ok()) << collateral.status();
  EXPECT_EQ(collateral->name, "name");
  EXPECT_EQ(collateral->tcb_info.text.size(), 4520U);
  EXPECT_EQ(collateral->tcb_info.signature.size(), 64U);
  EXPECT_EQ(collateral->qe_identity.text.size(), 1217U);
  EXPECT_EQ(collateral->root_ca_crl.size(), 292U);
  EXPECT_EQ(collateral->pck_crl.size(), 302U);
  EXPECT_EQ(collateral->pck_crl_issuer_chain.size(), 1908U);
}

TEST(CollateralJsonTest, WhatIsWrittenIsReadAgain) {
  Collateral collateral = *ParseCollateralJson(Json(), "name");
  const std::string written = EncodeCollateralJson(collateral);
  const auto read = ParseCollateralJson(AsBytes(written), "name");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tcb_info.text, collateral.tcb_info.text);
  EXPECT_EQ(read->qe_identity.issuer_chain, collateral.qe_identity.issuer_chain);
  EXPECT_EQ(read->pck_crl, collateral.pck_crl);
  EXPECT_EQ(EncodeCollateralJson(*read), written);
  collateral.tcb_info.issuer_chain = {0xFF};  // no UTF-8
  EXPECT_TRUE(ParseCollateralJson(AsBytes(EncodeCollateralJson(collateral)), "name").ok());
}

TEST(CollateralJsonTest, NamesTheMemberThatIsWrong) {
  EXPECT_THAT(std::string(ParseCollateralJson(AsBytes("{}"), "").status().message()), HasSubstr("'tcb_info'"));
  EXPECT_THAT(std::string(ParseCollateralJson(AsBytes("[]"), "").status().message()), HasSubstr("not a JSON object"));
  std::string text = ToString(Json());
  text.replace(text.find("\"tcb_info_signature\": \""), 23, "\"tcb_info_signature\": \"x");
  EXPECT_FALSE(ParseCollateralJson(AsBytes(text), "").ok());
  EXPECT_FALSE(ParseCollateralJson(Bytes(intel::kMaxCollateralBytes + 1, ' '), "").ok());
}

TEST(PcsBodyTest, CutsTheSignedTextOutAsItStands) {
  const Collateral good = testing::SgxCollateral();
  for (const char* key : {"tcbInfo", "enclaveIdentity"}) {
    const auto read = ParsePcsBody(AsBytes(Body(key, good.tcb_info)));
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->text, good.tcb_info.text);
    EXPECT_EQ(read->signature, good.tcb_info.signature);
  }
}

TEST(PcsBodyTest, IsNotFooledByBracketsAndQuotesInStrings) {
  const std::string signature = ",\"signature\":\"" + std::string(128, '0') + "\"}";
  const auto read = ParsePcsBody(AsBytes(R"( { "x" : "}{\",[" , "tcbInfo" : {"a":["]}\\"],"b":"\"}"} )" + signature));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(ToString(read->text), R"({"a":["]}\\"],"b":"\"}"})");
}

TEST(PcsBodyTest, RefusesAMemberThatIsMissingRepeatedOrNoObject) {
  const std::string signature = ",\"signature\":\"" + std::string(128, '0') + "\"}";
  EXPECT_FALSE(ParsePcsBody(AsBytes("{\"other\":{}" + signature)).ok());
  EXPECT_FALSE(ParsePcsBody(AsBytes("{\"tcbInfo\":1" + signature)).ok());
  EXPECT_FALSE(ParsePcsBody(AsBytes("{\"tcbInfo\":{},\"tcbInfo\":{}" + signature)).ok());
  EXPECT_FALSE(ParsePcsBody(AsBytes("{\"tcbInfo\":{}}")).ok());
}

TEST(RevocationListToDerTest, TakesDerPemAndHexadecimal) {
  const Bytes der = testing::SgxCollateral().root_ca_crl;
  EXPECT_EQ(*intel::RevocationListToDer(der), der);
  EXPECT_EQ(*intel::RevocationListToDer(AsBytes(HexEncode(der) + "\n")), der);
  EXPECT_FALSE(intel::RevocationListToDer({}).ok());
  EXPECT_FALSE(intel::RevocationListToDer(AsBytes("rubbish")).ok());
}

class CollateralFilesTest : public ::testing::Test {
 protected:
  CollateralFilesTest() {
    std::string pattern = ::testing::TempDir() + "collateral_XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  ~CollateralFilesTest() override { std::filesystem::remove_all(root_); }
  void Put(const std::string& name, ByteSpan content) {
    std::filesystem::create_directories(std::filesystem::path(root_ + "/" + name).parent_path());
    EXPECT_TRUE(WriteFileAtomically(root_ + "/" + name, content).ok());
  }
  void PutFolder(const std::string& folder, const Collateral& collateral) {
    Put(folder + "tcb_info.json", collateral.tcb_info.text);
    Put(folder + "tcb_info.sig", collateral.tcb_info.signature);
    Put(folder + "tcb_info_issuer_chain.pem", collateral.tcb_info.issuer_chain);
    Put(folder + "qe_identity.json", AsBytes(Body("enclaveIdentity", collateral.qe_identity)));
    Put(folder + "qe_identity_issuer_chain.pem", collateral.qe_identity.issuer_chain);
    Put(folder + "root_ca_crl.der", collateral.root_ca_crl);
    Put(folder + "pck_crl.der", AsBytes(HexEncode(collateral.pck_crl)));
    Put(folder + "pck_crl_issuer_chain.pem", collateral.pck_crl_issuer_chain);
  }
  static void ExpectGenuine(const Collateral& collateral) {
    const auto inspected = intel::Inspect(collateral, intel::IntelSgxRootKey());
    EXPECT_TRUE(inspected.tcb_info.ok()) << inspected.tcb_info.status();
    EXPECT_TRUE(inspected.qe_identity.ok()) << inspected.qe_identity.status();
    EXPECT_TRUE(inspected.root_crl.ok()) << inspected.root_crl.status();
    EXPECT_TRUE(inspected.pck_crl.ok()) << inspected.pck_crl.status();
  }

  std::string root_;
};

TEST_F(CollateralFilesTest, ReadsAFileAFolderAndAFolderOfBoth) {
  Put("whole.json", Json());
  const auto file = LoadCollateral(root_ + "/whole.json");
  ASSERT_TRUE(file.ok()) << file.status();
  ExpectGenuine(file->front());
  PutFolder("split/", testing::TdxCollateral());
  const auto folder = LoadCollateral(root_ + "/split");
  ASSERT_TRUE(folder.ok()) << folder.status();
  ExpectGenuine(folder->front());
  const auto cache = LoadCollateral(root_);
  ASSERT_TRUE(cache.ok()) << cache.status();
  ASSERT_EQ(cache->size(), 2U);
  EXPECT_EQ((*cache)[0].name, root_ + "/split");
}

TEST_F(CollateralFilesTest, TakesSignaturesInHexadecimal) {
  const Collateral good = testing::SgxCollateral();
  PutFolder("", good);
  Put("tcb_info.sig", AsBytes(HexEncode(good.tcb_info.signature) + "\n"));
  const auto read = LoadCollateral(root_);
  ASSERT_TRUE(read.ok()) << read.status();
  ExpectGenuine(read->front());
  Put("tcb_info.sig", AsBytes("rubbish"));
  EXPECT_THAT(std::string(LoadCollateral(root_).status().message()), HasSubstr("tcb_info.sig: expected a signature"));
}

TEST_F(CollateralFilesTest, NamesTheFileThatIsMissingOrMalformed) {
  EXPECT_EQ(LoadCollateral(root_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadCollateral(root_ + "/none").status().code(), absl::StatusCode::kNotFound);
  PutFolder("", testing::SgxCollateral());
  std::filesystem::remove(root_ + "/root_ca_crl.der");
  EXPECT_THAT(std::string(LoadCollateral(root_).status().message()), HasSubstr("/root_ca_crl.der"));
  Put("root_ca_crl.der", AsBytes("rubbish"));
  EXPECT_THAT(std::string(LoadCollateral(root_).status().message()), HasSubstr("/root_ca_crl.der: not a revocation"));
  Put("broken/a.json", AsBytes("{}"));
  EXPECT_THAT(std::string(LoadCollateral(root_ + "/broken").status().message()), HasSubstr("a.json: member"));
}

TEST_F(CollateralFilesTest, AmdFilesAreKnownByTheirContent) {
  Put("vcek", AttestationVector("virtee_vcek_milan.der"));
  Put("genoa.crt", AttestationVector("trustee_az_vcek-genoa.pem"));
  const auto read = sev_snp::LoadCollateral(root_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->certificates.size(), 2U);
  Put("list.crl", testing::SgxCollateral().root_ca_crl);
  EXPECT_EQ(sev_snp::LoadCollateral(root_)->revocation_lists.size(), 1U);
  Put("readme", AsBytes("hello"));
  EXPECT_THAT(std::string(sev_snp::LoadCollateral(root_).status().message()), HasSubstr("/readme: neither"));
  EXPECT_EQ(sev_snp::LoadCollateral(root_ + "/none").status().code(), absl::StatusCode::kNotFound);
}

// Whole collateral and bodies as they are found in the field.
TEST(SharedCollateralTest, ReadsWhatOthersPublish) {
  if (!testing::HasSharedVectors()) {
    GTEST_SKIP() << "../shared/vectors/attestation is not there";
  }
  for (const char* folder : {"sgx/dcapqvl_split", "tdx/dcapqvl_split"}) {
    const auto read = LoadCollateral(testing::SharedVectorPath(folder));
    ASSERT_TRUE(read.ok()) << read.status();
    const auto inspected = intel::Inspect(read->front(), intel::IntelSgxRootKey());
    EXPECT_TRUE(inspected.tcb_info.ok() && inspected.qe_identity.ok() && inspected.root_crl.ok());
  }
  const Bytes chain = testing::SharedVector("sgx/extra/automata_tcb_signing_cert.pem");
  for (const char* name : {"sgx/extra/automata_tcbinfov2.json", "sgx/extra/automata_qeidentityv2.json",
                           "sgx/extra/automata_qeidentityv2_apiv4.json"}) {
    const auto body = ParsePcsBody(testing::SharedVector(name));
    ASSERT_TRUE(body.ok()) << name;
    const auto signer = x509::CertificatesFromPem(chain);
    ASSERT_TRUE(signer.ok()) << signer.status();
    EXPECT_TRUE(intel::IsSignedBy(*body, signer->front())) << name;
    EXPECT_TRUE(intel::ParseTcbInfo(body->text).ok() || intel::ParseQeIdentity(body->text).ok()) << name;
  }
}

}  // namespace
}  // namespace shoji::attest
