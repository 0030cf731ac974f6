// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "lib/base/private_file.h"

namespace shoji {
namespace {

// A folder of its own for each test.
class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "shoji_file_test_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

TEST_F(FileTest, WhatIsWrittenIsRead) {
  const Bytes content = {0, 1, 2, 255};
  ASSERT_TRUE(WriteFileAtomically(Path("a"), content).ok());
  EXPECT_EQ(ReadFile(Path("a"), 4).value(), content);
}

TEST_F(FileTest, APrivateFileIsItsOwnersAloneEvenWhereItReplacesAnother) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), AsBytes("old")).ok());
  ASSERT_TRUE(WritePrivateFileAtomically(Path("a"), AsBytes("new")).ok());
  EXPECT_EQ(ToString(ReadFile(Path("a"), 3).value()), "new");
  struct stat info = {};
  ASSERT_EQ(::stat(Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(FileTest, AnEmptyFileIsEmpty) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), {}).ok());
  EXPECT_TRUE(ReadFile(Path("a"), 0)->empty());
}

TEST_F(FileTest, WritingReplacesAndLeavesNoPartBehind) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), AsBytes("old and longer")).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("a"), AsBytes("new")).ok());
  EXPECT_EQ(ToString(ReadFile(Path("a"), 100).value()), "new");
  EXPECT_FALSE(std::filesystem::exists(Path("a.part")));
}

TEST_F(FileTest, AMissingFileIsNotFoundByName) {
  const absl::Status status = ReadFile(Path("missing"), 10).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(std::string(status.message()).find("missing"), std::string::npos);
}

TEST_F(FileTest, AFileOverTheLimitIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), AsBytes("12345")).ok());
  EXPECT_TRUE(ReadFile(Path("a"), 5).ok());
  EXPECT_EQ(ReadFile(Path("a"), 4).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(FileTest, AFolderOrAPipeIsNotAFile) {
  EXPECT_EQ(ReadFile(::testing::TempDir(), 10).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(Path("pipe"), 10).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, WhetherAFileCanBeWrittenIsKnownWithoutWritingIt) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), AsBytes("old")).ok());
  EXPECT_TRUE(CheckCanWrite(Path("a")).ok());
  EXPECT_EQ(ToString(ReadFile(Path("a"), 100).value()), "old");
  EXPECT_TRUE(CheckCanWrite(Path("b")).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("b")) || std::filesystem::exists(Path("b.part")));
  EXPECT_EQ(CheckCanWrite(Path("no/such/folder")).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(CheckCanWrite(::testing::TempDir()).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, AMissingFolderIsAnErrorOfTheWrite) {
  EXPECT_EQ(WriteFileAtomically(Path("no/such/folder"), {}).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace shoji
