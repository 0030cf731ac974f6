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
  EXPECT_EQ(table.entries().size(), 2U);
  EXPECT_TRUE(table.Find(kTokenA).has_value());
  EXPECT_TRUE(table.Find(kTokenB).has_value());
  EXPECT_FALSE(table.Find("0123456789abcdef-C").has_value());
  EXPECT_FALSE(table.Find("").has_value());
  EXPECT_FALSE(table.Find("# team one").has_value());
  EXPECT_FALSE(table.Find(std::string(kTokenA) + "x").has_value());
  EXPECT_FALSE(table.Find(std::string_view(kTokenA).substr(1)).has_value());
  EXPECT_FALSE(table.Find(std::string(1'000'000, 'a')).has_value());
}

TEST(TokenTableTest, HeaderNeedsTheBearerScheme) {
  const TokenTable table = *TokenTable::Parse(kTokenA, "tokens.txt");
  EXPECT_TRUE(table.FindHeader(std::string("Bearer ") + kTokenA).has_value());
  EXPECT_TRUE(table.FindHeader(std::string("bearer ") + kTokenA).has_value());
  EXPECT_FALSE(table.FindHeader(kTokenA).has_value());
  EXPECT_FALSE(table.FindHeader(std::string("Basic  ") + kTokenA).has_value());
  EXPECT_FALSE(table.FindHeader("Bearer ").has_value());
  EXPECT_FALSE(table.FindHeader("Bearer").has_value());
  EXPECT_FALSE(table.FindHeader("").has_value());
  EXPECT_FALSE(table.FindHeader(std::string("Bearer  ") + kTokenA).has_value());
}

TEST(TokenTableTest, ShortTokenIsRefusedByLineWithoutBeingShown) {
  EXPECT_THAT(ErrorOfText("# x\nhunter2\n"), AllOf(HasSubstr("tokens.txt:2:"), Not(HasSubstr("hunter2"))));
}

TEST(TokenTableTest, TokenWithBlanksOrControlBytesIsRefused) {
  EXPECT_THAT(ErrorOfText("0123456789 abcdefgh\n"), AllOf(HasSubstr("one word"), Not(HasSubstr("0123456789"))));
  EXPECT_THAT(ErrorOfText("0123456789\x01zzzzzzz\n"), HasSubstr("one word"));
}

TEST(TokenTableTest, ReadsWhatHoldsForAToken) {
  const auto table = TokenTable::Parse(
      std::string("name=alice rate=0.5 burst=20\tin_flight=4  ") + kTokenA + "\n" + kTokenB + "\n", "tokens.txt");
  ASSERT_TRUE(table.ok()) << table.status();
  const TokenTable::Entry& alice = table->entries()[*table->Find(kTokenA)];
  EXPECT_EQ(alice.name, "alice");
  EXPECT_EQ(alice.rate, 0.5);
  EXPECT_EQ(alice.burst, 20U);
  EXPECT_EQ(alice.in_flight, 4U);
  const TokenTable::Entry& other = table->entries()[*table->Find(kTokenB)];
  EXPECT_EQ(other.name, "");
  EXPECT_FALSE(other.rate.has_value() || other.burst.has_value() || other.in_flight.has_value());
}

TEST(TokenTableTest, ATokenMayHoldAnEqualsSign) {
  const std::string token = "MDEyMzQ1Njc4OWFiY2RlZg==";
  EXPECT_TRUE(TokenTable::Parse(token, "tokens.txt")->Find(token).has_value());
}

TEST(TokenTableTest, ErrorsOfWhatStandsBeforeATokenSayWhatIsAllowed) {
  const auto error = [](const std::string& words) { return ErrorOfText("\n" + words + " " + kTokenA + "\n"); };
  EXPECT_THAT(error("name=a/b"), AllOf(HasSubstr("tokens.txt:2:"), HasSubstr("a name has up to 64")));
  EXPECT_THAT(error("name="), HasSubstr("a name has up to 64"));
  EXPECT_THAT(error("rate=fast"), HasSubstr("rate= takes calls a second"));
  EXPECT_THAT(error("rate=0"), HasSubstr("rate= takes calls a second"));
  EXPECT_THAT(error("rate=nan"), HasSubstr("rate= takes calls a second"));
  EXPECT_THAT(error("burst=1.5"), HasSubstr("burst= takes a whole number"));
  EXPECT_THAT(error("in_flight=-1"), HasSubstr("in_flight= takes a whole number"));
  EXPECT_THAT(error("speed=1"), HasSubstr("name=, rate=, burst= and in_flight= only"));
}

TEST(TokenTableTest, ATokenStandsOnce) {
  const std::string twice = std::string("name=a rate=1 ") + kTokenA + "\n" + kTokenB + "\nname=b " + kTokenA + "\n";
  EXPECT_EQ(ErrorOfText(twice), "tokens.txt:3: the token of line 1 again; a token stands once");
}

TEST(TokenTableTest, TokensOfOneNameHaveTheSameLimits) {
  const std::string first = std::string("name=alice rate=5 ") + kTokenA + "\n";
  EXPECT_EQ(ErrorOfText(first + "name=alice rate=5 " + kTokenB + "\n"), "OK");
  EXPECT_THAT(ErrorOfText(first + "name=alice rate=6 " + kTokenB + "\n"), HasSubstr("alice has other limits"));
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
