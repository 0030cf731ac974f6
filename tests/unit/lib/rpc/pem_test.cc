// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/pem.h"

#include <sys/stat.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "tests/unit/lib/rpc/test_pki.h"

namespace shoji::rpc {
namespace {

using ::testing::HasSubstr;

std::string Base64(const Bytes& bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(), static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(length));
  return out;
}

class PemTest : public ::testing::Test {
 protected:
  PemTest() {
    MakeCertificate(folder_.path(), "one", "");
    MakeCertificate(folder_.path(), "two", "");
    WriteText(folder_.File("garbage.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  }
  std::string ErrorOf(const std::string& certificate, const std::string& key) const {
    const auto identity = LoadPemIdentity(folder_.File(certificate), folder_.File(key));
    return identity.ok() ? "OK" : std::string(identity.status().message());
  }
  ScratchFolder folder_;
};

TEST_F(PemTest, MatchingPairIsLoaded) { EXPECT_EQ(ErrorOf("one.pem", "one.key"), "OK"); }

TEST_F(PemTest, KeyOfAnotherCertificateIsRefused) {
  EXPECT_THAT(ErrorOf("one.pem", "two.key"), HasSubstr("does not belong to the certificate"));
}

TEST_F(PemTest, KeyThatOthersCanReadIsRefused) {
  for (const mode_t mode : {0640U, 0604U, 0620U, 0660U}) {
    ASSERT_EQ(::chmod(folder_.File("one.key").c_str(), mode), 0);
    EXPECT_THAT(ErrorOf("one.pem", "one.key"), HasSubstr("chmod 600")) << mode;
  }
}

TEST_F(PemTest, WhatIsNotPemIsRefusedByName) {
  EXPECT_THAT(ErrorOf("garbage.pem", "one.key"), HasSubstr("garbage.pem holds no PEM certificate"));
  WriteText(folder_.File("one.key"), "not a key");
  EXPECT_THAT(ErrorOf("one.pem", "one.key"), HasSubstr("one.key holds no unencrypted PEM private key"));
}

TEST_F(PemTest, PublicKeyIsTheSameFromTheCertificateAndFromTheKeyAlone) {
  const auto certified = LoadPemPublicKey(folder_.File("one.pem"));
  ASSERT_TRUE(certified.ok()) << certified.status();
  EXPECT_EQ(certified->size(), 91U);  // SubjectPublicKeyInfo of a point on P-256, uncompressed
  const std::string base64 = Base64(*certified);
  WriteText(folder_.File("bare.pem"), "-----BEGIN PUBLIC KEY-----\n" + base64 + "\n-----END PUBLIC KEY-----\n");
  const auto bare = LoadPemPublicKey(folder_.File("bare.pem"));
  ASSERT_TRUE(bare.ok()) << bare.status();
  EXPECT_EQ(*bare, *certified);
  EXPECT_NE(*LoadPemPublicKey(folder_.File("two.pem")), *certified);
}

TEST_F(PemTest, WhatHoldsNoPublicKeyIsRefusedByName) {
  EXPECT_THAT(std::string(LoadPemPublicKey(folder_.File("one.key")).status().message()),
              HasSubstr("one.key holds neither a PEM certificate nor a PEM public key"));
  EXPECT_THAT(std::string(LoadPemPublicKey(folder_.File("garbage.pem")).status().message()), HasSubstr("garbage.pem"));
  EXPECT_THAT(std::string(LoadPemPublicKey(folder_.File("none.pem")).status().message()), HasSubstr("none.pem"));
  EXPECT_TRUE(PublicKeyOf("").empty());
  EXPECT_TRUE(PublicKeyOf("not a certificate").empty());
}

TEST_F(PemTest, MissingFilesAreNamed) {
  EXPECT_THAT(ErrorOf("none.pem", "one.key"), HasSubstr("none.pem"));
  EXPECT_THAT(ErrorOf("one.pem", "none.key"), HasSubstr("none.key"));
}

}  // namespace
}  // namespace shoji::rpc
