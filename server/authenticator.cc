// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/authenticator.h"

#include <iterator>

#include "lib/base/reason.h"

namespace shoji::server {

void Authenticator::Replace(std::optional<TokenTable> tokens) {
  const absl::MutexLock lock(&mu_);
  tokens_ = std::move(tokens);
}

absl::Status Authenticator::Check(const grpc::ServerContext& context) const {
  const absl::MutexLock lock(&mu_);
  if (!tokens_.has_value()) {
    return absl::OkStatus();
  }
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  if (first == last || std::next(first) != last ||
      !tokens_->AcceptsHeader({first->second.data(), first->second.size()})) {
    return ErrorOf(Reason::kUnauthenticatedClient);
  }
  return absl::OkStatus();
}

}  // namespace shoji::server
