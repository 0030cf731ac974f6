// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/support/scrape.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"

namespace shoji::testing {

absl::StatusOr<std::string> HttpGet(const rpc::Address& address, std::string_view path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const std::unique_ptr<const int, void (*)(const int*)> closer(&fd, [](const int* s) { close(*s); });
  timeval timeout = {.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(address.port);
  inet_pton(AF_INET, address.host.c_str(), &to.sin_addr);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot connect to ", address.ToString()));
  }
  const std::string request =
      absl::StrCat("GET ", std::string(path), " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError("the request could not be sent");
  }
  std::string reply;
  std::array<char, 16384> buffer = {};
  for (ssize_t got = 0; (got = recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
    reply.append(buffer.data(), static_cast<size_t>(got));
  }
  return reply;
}

absl::StatusOr<std::string> Scrape(const rpc::Address& address) {
  ASSIGN_OR_RETURN(const std::string reply, HttpGet(address, "/metrics"));
  const size_t body = reply.find("\r\n\r\n");
  if (!reply.starts_with("HTTP/1.1 200") || body == std::string::npos) {
    return absl::UnavailableError(absl::StrCat("no page: ", reply.substr(0, 80)));
  }
  return reply.substr(body + 4);
}

absl::StatusOr<rpc::Address> MetricsAddressIn(const std::string& log) {
  constexpr char kEvent[] = " metrics address=";
  const size_t at = log.find(kEvent);
  if (at == std::string::npos) {
    return absl::NotFoundError("the log has no line `metrics address=`");
  }
  const size_t begin = at + sizeof(kEvent) - 1;
  return rpc::ParseAddress(log.substr(begin, log.find_first_of(" \n", begin) - begin));
}

std::optional<double> SeriesIn(std::string_view page, std::string_view series) {
  const std::vector<std::string> lines = absl::StrSplit(std::string(page), '\n');
  for (const std::string& line : lines) {
    if (line.size() > series.size() && line.starts_with(series) && line[series.size()] == ' ') {
      return std::strtod(line.c_str() + series.size() + 1, nullptr);
    }
  }
  return std::nullopt;
}

}  // namespace shoji::testing
