// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/server_context.h>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/account.h"
#include "server/token_table.h"

namespace shoji::server {

// The tokens in force, which a reload replaces, and the accounts of their holders. An account outlives a reload that
// keeps its name, or its token where it has none. Thread-safe.
class Authenticator {
 public:
  // `defaults` hold where a token says nothing else.
  Authenticator(const std::optional<TokenTable>& tokens, const AccountLimits& defaults) { Replace(tokens, defaults); }
  void Replace(const std::optional<TokenTable>& tokens, const AccountLimits& defaults);

  // The account of the caller: where no tokens are asked for, one without limits that all share. UNAUTHENTICATED_CLIENT
  // unless the call carries exactly one `authorization` that is accepted. (Shared: a call may outlive its token.)
  absl::StatusOr<std::shared_ptr<Account>> Check(const grpc::ServerContext& context) const;

  // Whether that is the one that all share.
  bool IsAnyone(const Account& account) const { return &account == anyone_.get(); }

  // Those that have a name.
  std::vector<std::shared_ptr<Account>> NamedAccounts() const;

 private:
  mutable absl::Mutex mu_;
  std::optional<TokenTable> tokens_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<Account>> by_entry_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::shared_ptr<Account>> accounts_ ABSL_GUARDED_BY(mu_);
  const std::shared_ptr<Account> anyone_ = std::make_shared<Account>("");
};

}  // namespace shoji::server
