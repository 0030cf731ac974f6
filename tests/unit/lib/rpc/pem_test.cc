// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/pem.h"

#include <sys/stat.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/lib/rpc/test_pki.h"

namespace shoji::rpc {
namespace {

using ::testing::HasSubstr;

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

TEST_F(PemTest, MissingFilesAreNamed) {
  EXPECT_THAT(ErrorOf("none.pem", "one.key"), HasSubstr("none.pem"));
  EXPECT_THAT(ErrorOf("one.pem", "none.key"), HasSubstr("none.key"));
}

}  // namespace
}  // namespace shoji::rpc
