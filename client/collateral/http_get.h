// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The only code of the client that speaks HTTP, and the only user of libcurl.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::client {

struct HttpReply {
  Bytes body;
  std::map<std::string, std::string> headers;  // of the last reply, by name in lower case
};

struct HttpLimits {
  std::chrono::milliseconds timeout{10'000};  // of the whole request
  size_t max_bytes = size_t{1} << 20;         // of the body
  // PEM: the only authorities whose certificates are taken, of the service and of an https proxy before it; empty:
  // those that this machine trusts.
  std::string ca_file = {};
};

// GETs `url`, whose beginning attest::CheckServiceUrl passed. Redirects are followed only from https to https; plain
// http goes to this machine and nowhere else; who answers https is checked always. Sends no cookie, credential or body.
// Errors name the address, the HTTP status and what to do: NOT_FOUND (404), RESOURCE_EXHAUSTED (body too long),
// DEADLINE_EXCEEDED, UNAVAILABLE.
absl::StatusOr<HttpReply> HttpGet(const std::string& url, const HttpLimits& limits);

// Undoes RFC 3986's percent-encoding.
std::string PercentDecode(const std::string& text);

}  // namespace shoji::client
