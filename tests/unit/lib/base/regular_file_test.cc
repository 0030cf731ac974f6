// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/regular_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/byte_source.h"
#include "lib/base/file.h"

namespace shoji {
namespace {

using ::testing::HasSubstr;

// A folder of its own for each test, with "in/a" in it.
class RegularFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "shoji_regular_file_test_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::filesystem::create_directory(folder_ / "in");
    ASSERT_TRUE(WriteFileAtomically(Path("in/a"), AsBytes("content")).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  absl::StatusOr<std::string> Below(const std::string& relative) const {
    const absl::StatusOr<Folder> folder = Folder::Open(folder_.string());
    EXPECT_TRUE(folder.ok()) << folder.status();
    absl::StatusOr<RegularFile> file = folder->OpenBelow(relative);
    if (!file.ok()) {
      return file.status();
    }
    Bytes content(file->size());
    EXPECT_TRUE(file->ReadAt(0, content).ok());
    return ToString(content);
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(RegularFileTest, APartIsReadFromWhereItLies) {
  const absl::StatusOr<RegularFile> file = RegularFile::Open(Path("in/a"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->size(), 7U);
  Bytes part(3);
  ASSERT_TRUE(file->ReadAt(2, part).ok());
  EXPECT_EQ(ToString(part), "nte");
  EXPECT_EQ(file->ReadAt(5, part).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(file->ReadAt(uint64_t{1} << 40, part).code(), absl::StatusCode::kOutOfRange);
}

TEST_F(RegularFileTest, ASourceGivesTheFileFromFrontToBack) {
  FileSource source(*RegularFile::Open(Path("in/a")));
  Bytes first(4);
  Bytes second(3);
  ASSERT_TRUE(source.Read(first).ok());
  ASSERT_TRUE(source.Read(second).ok());
  EXPECT_EQ(ToString(first) + ToString(second), "content");
  EXPECT_EQ(source.Read(std::span(second).first(1)).code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(source.Read(std::span(second).first(0)).ok());
}

TEST_F(RegularFileTest, ASpanIsASourceToo) {
  SpanSource source(AsBytes("content"));
  EXPECT_EQ(source.size(), 7U);
  Bytes part(5);
  ASSERT_TRUE(source.Read(part).ok());
  EXPECT_EQ(ToString(part), "conte");
  EXPECT_EQ(source.Read(part).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(source.size(), 7U);
}

TEST_F(RegularFileTest, PathsBelowAFolderAreOpened) {
  for (const char* path : {"in/a", "./in//a", "in/./a"}) {
    EXPECT_EQ(Below(path).value_or("?"), "content") << path;
  }
}

TEST_F(RegularFileTest, PathsThatLeaveTheFolderAreRefused) {
  for (const std::string& path : std::vector<std::string>{"", ".", "/", "in/", "..", "../x", "in/../in/a", "in/..",
                                                          Path("in/a"), "/etc/passwd", std::string("in/a\0b", 6)}) {
    EXPECT_EQ(Below(path).status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

TEST_F(RegularFileTest, NoComponentMayBeASymbolicLink) {
  std::filesystem::create_symlink(Path("in/a"), Path("in/link"));
  std::filesystem::create_directory_symlink(Path("in"), Path("shortcut"));
  std::filesystem::create_symlink("/nowhere", Path("in/dangling"));
  for (const auto& [path, link] : {std::pair<std::string, std::string>{"in/link", "link"},
                                   {"shortcut/a", "shortcut"},
                                   {"shortcut/link", "shortcut"},
                                   {"in/dangling", "dangling"}}) {
    const absl::Status refused = Below(path).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << path;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("'" + link + "' is a symbolic link, which is not followed"));
  }
}

TEST_F(RegularFileTest, FoldersPipesAndMissingFilesAreErrorsByName) {
  ASSERT_EQ(::mkfifo(Path("in/pipe").c_str(), 0600), 0);
  EXPECT_THAT(std::string(Below("in").status().message()), HasSubstr("/in is not a regular file"));
  EXPECT_THAT(std::string(Below("in/pipe").status().message()), HasSubstr("/in/pipe is not a regular file"));
  EXPECT_EQ(Below("in/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Below("in/a/b").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(Below("in/none").status().message()), HasSubstr("/in/none"));
  EXPECT_EQ(Folder::Open(Path("in/a")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(RegularFile::Open(Path("in")).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RegularFileTest, ADescriptorMovesAndIsClosedOnce) {
  std::array<int, 2> ends = {};
  ASSERT_EQ(::pipe(ends.data()), 0);
  FileDescriptor first(ends[0]);
  FileDescriptor second(std::move(first));
  EXPECT_EQ(second.get(), ends[0]);
  FileDescriptor third(ends[1]);
  third = std::move(second);
  EXPECT_EQ(third.get(), ends[0]);
}

}  // namespace
}  // namespace shoji
