// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace shoji::rpc {

// Where a process listens or connects: "unix:PATH", "HOST:PORT", "[IPV6]:PORT". Copyable; thread-compatible.
struct Address {
  enum class Kind : uint8_t { kUnix, kTcp };

  Kind kind = Kind::kTcp;
  std::string path;  // kUnix
  std::string host;  // kTcp, without brackets
  uint16_t port = 0;

  // Whether only this host can reach it: a Unix socket, 127.0.0.0/8, ::1 or localhost.
  bool IsLocal() const;
  // In the form it is written, which gRPC also takes: "unix:/run/x.sock", "127.0.0.1:80", "[::1]:80".
  std::string ToString() const;

  bool operator==(const Address&) const = default;
};

// Parses `text`. A relative Unix path is taken from `folder` (of the configuration file), not from the working
// directory. INVALID_ARGUMENT says what is wrong: no port, a port over 65535, a Unix path longer than the system's 107
// bytes.
absl::StatusOr<Address> ParseAddress(std::string_view text, const std::string& folder = ".");

}  // namespace shoji::rpc
