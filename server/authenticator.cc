// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "server/authenticator.h"

#include <iterator>
#include <utility>

#include "lib/base/bytes.h"
#include "lib/base/reason.h"

namespace shoji::server {
namespace {

// A name has no '#'.
std::string KeyOf(const TokenTable::Entry& entry) {
  return entry.name.empty() ? "#" + HexEncode(entry.digest) : entry.name;
}

AccountLimits LimitsOf(const TokenTable::Entry& entry, const AccountLimits& defaults) {
  AccountLimits out;
  out.rate = entry.rate.value_or(defaults.rate);
  // The burst of all tokens belongs to the rate of all tokens.
  out.burst = entry.burst.value_or(entry.rate.has_value() ? 0 : defaults.burst);
  out.in_flight = entry.in_flight.value_or(defaults.in_flight);
  return out;
}

}  // namespace

void Authenticator::Replace(const std::optional<TokenTable>& tokens, const AccountLimits& defaults) {
  const absl::MutexLock lock(&mu_);
  tokens_ = tokens;
  const auto old = std::exchange(accounts_, {});
  by_entry_.clear();
  if (!tokens_.has_value()) {
    return;
  }
  for (const TokenTable::Entry& entry : tokens_->entries()) {
    const std::string key = KeyOf(entry);
    std::shared_ptr<Account>& account = accounts_[key];
    if (account == nullptr) {
      const auto kept = old.find(key);
      account = kept == old.end() ? std::make_shared<Account>(entry.name) : kept->second;
      account->SetLimits(LimitsOf(entry, defaults));
    }
    by_entry_.push_back(account);
  }
}

absl::StatusOr<std::shared_ptr<Account>> Authenticator::Check(const grpc::ServerContext& context) const {
  const absl::MutexLock lock(&mu_);
  if (!tokens_.has_value()) {
    return anyone_;
  }
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  if (first == last || std::next(first) != last) {
    return ErrorOf(Reason::kUnauthenticatedClient);
  }
  const std::optional<size_t> entry = tokens_->FindHeader({first->second.data(), first->second.size()});
  if (!entry.has_value()) {
    return ErrorOf(Reason::kUnauthenticatedClient);
  }
  return by_entry_[*entry];
}

std::vector<std::shared_ptr<Account>> Authenticator::NamedAccounts() const {
  const absl::MutexLock lock(&mu_);
  std::vector<std::shared_ptr<Account>> out;
  for (const auto& [key, account] : accounts_) {
    if (!account->name().empty()) {
      out.push_back(account);
    }
  }
  return out;
}

}  // namespace shoji::server
