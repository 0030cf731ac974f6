// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "lib/rpc/endpoint.h"

namespace grpc {
class Channel;
class ServerCredentials;
}  // namespace grpc

namespace shoji::rpc {

inline constexpr size_t kDefaultMaxMessageBytes = size_t{16} << 20;

struct ChannelOptions {
  // The largest message either way.
  size_t max_message_bytes = kDefaultMaxMessageBytes;
};

// A channel of its own connection, with keepalive and a reconnect backoff of 100 ms to 2 s. It connects when first used
// and again whenever that is lost. Errors: as CheckEndpoint's files (missing, not PEM, open to others).
absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(const Endpoint& endpoint, const ChannelOptions& options);

// What a listener on an endpoint with `security` presents and demands.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(const TransportSecurity& security);

}  // namespace shoji::rpc
