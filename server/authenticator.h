// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>
#include <utility>

#include <grpcpp/server_context.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/token_table.h"

namespace shoji::server {

// The tokens in force, which a reload replaces. Thread-safe.
class Authenticator {
 public:
  explicit Authenticator(std::optional<TokenTable> tokens) : tokens_(std::move(tokens)) {}
  void Replace(std::optional<TokenTable> tokens);
  // UNAUTHENTICATED_CLIENT unless tokens are not asked for, or the call carries exactly one `authorization` that is
  // accepted.
  absl::Status Check(const grpc::ServerContext& context) const;

 private:
  mutable absl::Mutex mu_;
  std::optional<TokenTable> tokens_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::server
