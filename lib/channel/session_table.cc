// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/session_table.h"

#include <utility>

#include "lib/base/check.h"
#include "lib/base/reason.h"
#include "lib/base/status_macros.h"

namespace shoji::channel {

Session* SessionTable::Find(const SessionId& id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &*it->second;
}

void SessionTable::Touch(const Session& session, SteadyTime now) {
  const auto it = by_id_.find(session.id);
  SHOJI_CHECK(it != by_id_.end());
  Session& found = *it->second;
  used_.splice(used_.end(), found.has_carried_one ? used_ : unused_, it->second);
  found.has_carried_one = true;
  found.last_used = now;
}

absl::Status SessionTable::CheckRoom(SteadyTime now) const {
  const auto has_older = [now](const std::list<Session>& sessions, std::chrono::seconds timeout) {
    return !sessions.empty() && now - sessions.front().last_used >= timeout;
  };
  const bool has_room = !IsFull() || has_older(used_, idle_timeout_) || has_older(unused_, idle_timeout_) ||
                        has_older(unused_, kUnusedTimeout);
  return has_room ? absl::OkStatus() : ErrorOf(Reason::kSessionLimit);
}

absl::Status SessionTable::MakeRoom(SteadyTime now) {
  RETURN_IF_ERROR(CheckRoom(now));
  if (IsFull()) {
    EvictIdle(now);
  }
  if (IsFull()) {
    by_id_.erase(unused_.front().id);
    unused_.pop_front();
  }
  return absl::OkStatus();
}

void SessionTable::Insert(Session session) {
  SHOJI_CHECK(!IsFull() && !session.has_carried_one);
  const SessionId id = session.id;
  unused_.push_back(std::move(session));
  SHOJI_CHECK(by_id_.emplace(id, std::prev(unused_.end())).second);
}

void SessionTable::EvictIdle(SteadyTime now) {
  EvictIdleOf(used_, now);
  EvictIdleOf(unused_, now);
}

void SessionTable::EvictIdleOf(std::list<Session>& sessions, SteadyTime now) {
  while (!sessions.empty() && now - sessions.front().last_used >= idle_timeout_) {
    by_id_.erase(sessions.front().id);
    sessions.pop_front();
  }
}

void SessionTable::RemoveAllOf(const KeyId& key_id) {
  const auto is_of_key = [this, &key_id](const Session& session) {
    return session.key_id == key_id && by_id_.erase(session.id) == 1;
  };
  used_.remove_if(is_of_key);
  unused_.remove_if(is_of_key);
}

}  // namespace shoji::channel
