// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/token_table.h"

#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kTokenA[] = "0123456789abcdef-A";
constexpr char kTokenB[] = "0123456789abcdef-B";

std::string ErrorOfText(std::string_view text) {
  const absl::StatusOr<TokenTable> table = TokenTable::Parse(text, "tokens.txt");
  return table.ok() ? "OK" : std::string(table.status().message());
}

TEST(TokenTableTest, AcceptsEveryListedTokenAndNoOther) {
  const TokenTable table =
      *TokenTable::Parse(std::string("# team one\n") + kTokenA + "\n\n  " + kTokenB + " \r\n", "tokens.txt");
  EXPECT_EQ(table.size(), 2U);
  EXPECT_TRUE(table.Accepts(kTokenA));
  EXPECT_TRUE(table.Accepts(kTokenB));
  EXPECT_FALSE(table.Accepts("0123456789abcdef-C"));
  EXPECT_FALSE(table.Accepts(""));
  EXPECT_FALSE(table.Accepts("# team one"));
  EXPECT_FALSE(table.Accepts(std::string(kTokenA) + "x"));
  EXPECT_FALSE(table.Accepts(std::string_view(kTokenA).substr(1)));
  EXPECT_FALSE(table.Accepts(std::string(1'000'000, 'a')));
}

TEST(TokenTableTest, HeaderNeedsTheBearerScheme) {
  const TokenTable table = *TokenTable::Parse(kTokenA, "tokens.txt");
  EXPECT_TRUE(table.AcceptsHeader(std::string("Bearer ") + kTokenA));
  EXPECT_TRUE(table.AcceptsHeader(std::string("bearer ") + kTokenA));
  EXPECT_FALSE(table.AcceptsHeader(kTokenA));
  EXPECT_FALSE(table.AcceptsHeader(std::string("Basic  ") + kTokenA));
  EXPECT_FALSE(table.AcceptsHeader("Bearer "));
  EXPECT_FALSE(table.AcceptsHeader("Bearer"));
  EXPECT_FALSE(table.AcceptsHeader(""));
  EXPECT_FALSE(table.AcceptsHeader(std::string("Bearer  ") + kTokenA));
}

TEST(TokenTableTest, ShortTokenIsRefusedByLineWithoutBeingShown) {
  EXPECT_THAT(ErrorOfText("# x\nhunter2\n"), AllOf(HasSubstr("tokens.txt:2:"), Not(HasSubstr("hunter2"))));
}

TEST(TokenTableTest, TokenWithBlanksOrControlBytesIsRefused) {
  EXPECT_THAT(ErrorOfText("0123456789 abcdefgh\n"), HasSubstr("one word"));
  EXPECT_THAT(ErrorOfText("0123456789\x01zzzzzzz\n"), HasSubstr("one word"));
}

TEST(TokenTableTest, FileWithoutTokensIsRefused) {
  EXPECT_THAT(ErrorOfText(""), HasSubstr("holds no token"));
  EXPECT_THAT(ErrorOfText("# nothing\n\n"), HasSubstr("holds no token"));
}

TEST(TokenTableTest, MissingFileIsNamed) {
  EXPECT_THAT(std::string(TokenTable::Load("/nonexistent/tokens").status().message()),
              HasSubstr("/nonexistent/tokens"));
}

TEST(TokenTableTest, FileThatOthersCanReadIsRefused) {
  const std::string path = ::testing::TempDir() + "/token_table_test.txt";
  std::ofstream(path) << kTokenA << "\n";
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  const absl::StatusOr<TokenTable> open = TokenTable::Load(path);
  EXPECT_EQ(open.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(open.status().message()), HasSubstr("chmod 600"));
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_TRUE(TokenTable::Load(path).ok());
  std::remove(path.c_str());
}

}  // namespace
}  // namespace shoji::server
