// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/transport.h"
#include "lib/base/clock.h"
#include "lib/rpc/endpoint.h"

namespace shoji::client {

// A Transport to one shoji-server over gRPC. It connects at the first call, and again whenever the connection is lost.
//
// Example:
//   ASSIGN_OR_RETURN(rpc::Endpoint server, client::PublicEndpoint("inference.example.org:8443", {.ca_file =
//   "ca.pem"})); ASSIGN_OR_RETURN(auto transport, client::CreateGrpcTransport({.server = server, .token = token},
//   clock));
struct GrpcTransportOptions {
  rpc::Endpoint server = {};
  std::string token = {};  // bearer token, sent with every call; empty: none
  size_t max_message_bytes = size_t{64} << 20;
};

// `clock` must outlive the transport. INVALID_ARGUMENT (a token that is not printable ASCII), and the errors of reading
// the endpoint's files. An unreachable server is not an error here.
absl::StatusOr<std::unique_ptr<Transport>> CreateGrpcTransport(const GrpcTransportOptions& options, const Clock& clock);

enum class Plaintext : uint8_t { kRefuse, kAllow };

struct ServerSecurity {
  std::string ca_file = {};      // PEM roots; empty: the system's
  std::string server_name = {};  // expected in the certificate; empty: the address's host
  // No TLS. The requests stay sealed all the same, but the token and who asks for what do not.
  Plaintext plaintext = Plaintext::kRefuse;
};

// The endpoint `address` ("HOST:PORT", "[IPV6]:PORT" or "unix:PATH", which is never TLS). INVALID_ARGUMENT says what is
// wrong with it.
absl::StatusOr<rpc::Endpoint> PublicEndpoint(const std::string& address, const ServerSecurity& security);

}  // namespace shoji::client
