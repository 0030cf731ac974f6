// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/rpc/address.h"

namespace shoji::rpc {

// The right to listen on an address, taken before gRPC binds it: gRPC would silently replace a Unix socket that another
// process serves, and says of a failed bind only that it failed. For a Unix socket it holds a lock (PATH.lock) as long
// as it lives, creates the socket's folder (mode 0700) when only that is missing, and removes a socket whose process is
// gone. For TCP it binds once, to get the system's reason. Thread-compatible.
class ListenerClaim {
 public:
  // ALREADY_EXISTS: another process listens there. INVALID_ARGUMENT, PERMISSION_DENIED, NOT_FOUND: it cannot be bound.
  static absl::StatusOr<std::unique_ptr<ListenerClaim>> Take(const Address& address);

  ListenerClaim(const ListenerClaim&) = delete;
  ListenerClaim& operator=(const ListenerClaim&) = delete;
  ~ListenerClaim();

 private:
  ListenerClaim() = default;
  absl::Status TakeUnix(const std::string& path);
  static absl::Status TryTcp(const Address& address);

  int lock_fd_ = -1;
};

}  // namespace shoji::rpc
