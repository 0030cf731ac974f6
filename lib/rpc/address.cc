// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/rpc/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <filesystem>
#include <system_error>

#include "absl/status/status.h"

namespace shoji::rpc {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

absl::Status Bad(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError("address \"" + std::string(text.substr(0, 200)) + "\" " + std::string(why) +
                                    "; write unix:PATH, HOST:PORT or [IPV6]:PORT");
}

absl::StatusOr<Address> ParseUnix(std::string_view text, const std::string& folder) {
  const std::string_view path = text.substr(kUnixPrefix.size());
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    return Bad(text, "has no path");
  }
  Address out;
  out.kind = Address::Kind::kUnix;
  const std::filesystem::path written{std::string(path)};
  out.path = (written.is_absolute() ? written : std::filesystem::path(folder) / written).lexically_normal().string();
  if (out.path.size() > kMaxUnixPath) {
    return Bad(text, "resolves to a path of " + std::to_string(out.path.size()) + " bytes, more than the " +
                         std::to_string(kMaxUnixPath) + " that a Unix socket may have");
  }
  return out;
}

bool IsHost(std::string_view host) {
  return !host.empty() && host.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
                              std::string_view::npos;
}

bool IsIpv6(const std::string& host) {
  in6_addr parsed = {};
  return ::inet_pton(AF_INET6, host.c_str(), &parsed) == 1;
}

}  // namespace

bool Address::IsLocal() const {
  if (kind == Kind::kUnix || host == "localhost") {
    return true;
  }
  in_addr v4 = {};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6 = {};
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string Address::ToString() const {
  if (kind == Kind::kUnix) {
    return std::string(kUnixPrefix) + path;
  }
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

absl::StatusOr<Address> ParseAddress(std::string_view text, const std::string& folder) {
  if (text.starts_with(kUnixPrefix)) {
    return ParseUnix(text, folder);
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return Bad(text, "has no port");
  }
  Address out;
  std::string_view host = text.substr(0, colon);
  const bool is_bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  out.host = std::string(is_bracketed ? host.substr(1, host.size() - 2) : host);
  if (is_bracketed ? !IsIpv6(out.host) : !IsHost(out.host)) {
    return Bad(text, "has no valid host");
  }
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) {
    return Bad(text, "has no port from 0 to 65535");
  }
  return out;
}

}  // namespace shoji::rpc
