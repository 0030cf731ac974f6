// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/address.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoji::rpc {
namespace {

using ::testing::HasSubstr;

TEST(AddressTest, ReadsEveryForm) {
  EXPECT_EQ(ParseAddress("localhost:80")->ToString(), "localhost:80");
  EXPECT_EQ(ParseAddress("10.0.0.1:0")->port, 0);
  EXPECT_EQ(ParseAddress("[::1]:65535")->host, "::1");
  EXPECT_EQ(ParseAddress("[::1]:65535")->ToString(), "[::1]:65535");
  EXPECT_EQ(ParseAddress("unix:/run/x.sock")->ToString(), "unix:/run/x.sock");
}

TEST(AddressTest, RelativeUnixPathIsTakenFromTheFolder) {
  EXPECT_EQ(ParseAddress("unix:run/x.sock", "/etc/shoji")->path, "/etc/shoji/run/x.sock");
  EXPECT_EQ(ParseAddress("unix:../x.sock", "/etc/shoji")->path, "/etc/x.sock");
  EXPECT_EQ(ParseAddress("unix:/x.sock", "/etc/shoji")->path, "/x.sock");
}

TEST(AddressTest, OnlyLoopbackAndUnixSocketsAreLocal) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:x"}) {
    EXPECT_TRUE(ParseAddress(text)->IsLocal()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[fe80::1]:1", "example.com:1", "127.0.0.1.nip.io:1",
                           "localhost.evil.com:1", "128.0.0.1:1"}) {
    EXPECT_FALSE(ParseAddress(text)->IsLocal()) << text;
  }
}

TEST(AddressTest, MalformedAddressesAreRefused) {
  for (const char* text :
       {"", "localhost", "localhost:", "localhost:65536", "localhost:-1", "localhost:80x", ":80", "[::1]", "[::1:80",
        "::1:80", "[localhost]:80", "host name:80", "dns:///x:80", "unix:", "http://x:80", "x/y:80"}) {
    const absl::StatusOr<Address> address = ParseAddress(text);
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(address.status().message()), HasSubstr("write unix:PATH, HOST:PORT"));
  }
}

TEST(AddressTest, UnixPathThatIsTooLongIsRefused) {
  EXPECT_TRUE(ParseAddress("unix:/" + std::string(106, 'x')).ok());
  EXPECT_THAT(std::string(ParseAddress("unix:/" + std::string(107, 'x')).status().message()),
              HasSubstr("more than the 107"));
}

}  // namespace
}  // namespace shoji::rpc
