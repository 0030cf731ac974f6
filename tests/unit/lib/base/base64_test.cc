// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/base/base64.h"

#include <initializer_list>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

namespace shoji {
namespace {

// RFC 4648, section 10.
TEST(Base64Test, TheVectorsOfTheStandardGoBothWays) {
  for (const auto& [bytes, text] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(Base64Encode(AsBytes(std::string_view(bytes))), text);
    const auto decoded = Base64Decode(text);
    ASSERT_TRUE(decoded.has_value()) << text;
    EXPECT_EQ(ToString(*decoded), bytes);
  }
}

TEST(Base64Test, OneFormOfBytesIsTakenAndNoOther) {
  for (const char* text :
       {"Zg", "Zg=", "Zh==", "Zm9=", "Zm8=\n", " Zm8=", "Zm 8=", "Zm8==", "Zg==Zg==", "Z", "=", "====", "Zm-_"}) {
    EXPECT_FALSE(Base64Decode(text).has_value()) << text;
  }
  EXPECT_FALSE(Base64Decode(std::string_view("Zm9v\0", 5)).has_value());
}

}  // namespace
}  // namespace shoji
