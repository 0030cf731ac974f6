// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/session_table.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/base/reason.h"

namespace shoji::channel {

Session* SessionTable::Find(const SessionId& id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &*it->second;
}

void SessionTable::Touch(const Session& session, SteadyTime now) {
  const auto it = by_id_.find(session.id);
  SHOJI_CHECK(it != by_id_.end());
  it->second->last_used = now;
  sessions_.splice(sessions_.end(), sessions_, it->second);
}

absl::Status SessionTable::CheckRoom(SteadyTime now) {
  if (sessions_.size() >= max_sessions_) {
    EvictIdle(now);
  }
  return sessions_.size() < max_sessions_ ? absl::OkStatus() : ErrorOf(Reason::kSessionLimit);
}

void SessionTable::Insert(Session session) {
  SHOJI_CHECK(sessions_.size() < max_sessions_);
  const SessionId id = session.id;
  sessions_.push_back(std::move(session));
  SHOJI_CHECK(by_id_.emplace(id, std::prev(sessions_.end())).second);
}

void SessionTable::EvictIdle(SteadyTime now) {
  while (!sessions_.empty() && now - sessions_.front().last_used >= idle_timeout_) {
    by_id_.erase(sessions_.front().id);
    sessions_.pop_front();
  }
}

void SessionTable::RemoveAllOf(const KeyId& key_id) {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    if (it->key_id != key_id) {
      ++it;
      continue;
    }
    by_id_.erase(it->id);
    it = sessions_.erase(it);
  }
}

}  // namespace shoji::channel
