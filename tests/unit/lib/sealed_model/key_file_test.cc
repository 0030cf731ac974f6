// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/sealed_model/key_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "tests/support/process.h"

namespace shoji::sealed_model {
namespace {

using ::testing::HasSubstr;

class KeyFileTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) const {
    EXPECT_TRUE(WriteFileAtomically(path_, AsBytes(text)).ok());
    EXPECT_EQ(::chmod(path_.c_str(), 0600), 0);
    return path_;
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.File("owner.key");
};

TEST_F(KeyFileTest, ReadsTheKeyThatItMade) {
  const absl::StatusOr<OwnerKey> made = MakeKeyFile(path_);
  ASSERT_TRUE(made.ok()) << made.status();
  const absl::StatusOr<OwnerKey> read = ReadKeyFile(path_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(std::ranges::equal(made->Expose(), read->Expose()));
  EXPECT_FALSE(std::ranges::all_of(read->Expose(), [](uint8_t byte) { return byte == 0; }));
}

TEST_F(KeyFileTest, TwoKeysDiffer) {
  ASSERT_TRUE(MakeKeyFile(path_).ok());
  ASSERT_TRUE(MakeKeyFile(dir_.File("other.key")).ok());
  EXPECT_NE(IdOf(*ReadKeyFile(path_)), IdOf(*ReadKeyFile(dir_.File("other.key"))));
}

TEST_F(KeyFileTest, ANewKeyIsItsOwnersAloneAndOverwritesNothing) {
  ASSERT_TRUE(MakeKeyFile(path_).ok());
  struct stat info = {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(MakeKeyFile(path_).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(KeyFileTest, RefusesAKeyThatOthersMayRead) {
  ASSERT_TRUE(MakeKeyFile(path_).ok());
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  const absl::Status status = ReadKeyFile(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("chmod 600"));
}

TEST_F(KeyFileTest, RefusesWhatIsNoKey) {
  const std::string digits(64, 'a');
  EXPECT_TRUE(ReadKeyFile(Write("shoji-model-key-v1 " + digits)).ok());
  EXPECT_TRUE(ReadKeyFile(Write("shoji-model-key-v1 " + digits + "\r\n")).ok());
  for (const std::string& text :
       {std::string(), digits, "shoji-model-key-v1 " + digits.substr(1), "shoji-model-key-v1 " + digits + "a",
        "shoji-model-key-v2 " + digits, "shoji-model-key-v1 g" + digits.substr(1),
        "shoji-model-key-v1 A" + digits.substr(1), " shoji-model-key-v1 " + digits}) {
    EXPECT_EQ(ReadKeyFile(Write(text)).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(ReadKeyFile(dir_.File("absent")).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace shoji::sealed_model
