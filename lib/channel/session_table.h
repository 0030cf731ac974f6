// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "lib/base/clock.h"
#include "lib/channel/framing.h"
#include "lib/channel/replay_window.h"
#include "lib/crypto/hpke.h"

namespace shoji::channel {

// The enclave's end of one session. Thread-compatible.
struct Session {
  SessionId id = {};
  KeyId key_id = {};
  ManifestDigest manifest_digest = {};
  // Shared with the session's requests in flight, which may outlive it.
  std::shared_ptr<const crypto::HpkeRecipientContext> hpke;
  ReplayWindow window;
  SteadyTime last_used;          // or opened, when it has not been used yet
  bool has_carried_one = false;  // an accepted request
};

// The live sessions, at most `max_sessions`. One that was not used for `idle_timeout` may be evicted; one that was is
// never pushed out by a new one. One that has not carried a request yet has less of a claim: in a full table it gives
// way after kUnusedTimeout, so that sessions opened and abandoned cannot keep others out for an idle_timeout.
// Thread-compatible.
class SessionTable {
 public:
  // Callers send their first request at once; 10 s leave it time for a retry, and bound how long a flood of hellos can
  // hold a place.
  static constexpr std::chrono::seconds kUnusedTimeout{10};

  SessionTable(size_t max_sessions, std::chrono::seconds idle_timeout)
      : max_sessions_(max_sessions), idle_timeout_(idle_timeout) {}

  size_t size() const { return by_id_.size(); }
  // Null when there is none. Valid until the table changes.
  Session* Find(const SessionId& id);
  // Marks `session` (of this table) as used, by an accepted request, at `now`, which never goes back.
  void Touch(const Session& session, SteadyTime now);
  // RESOURCE_EXHAUSTED (SESSION_LIMIT) when MakeRoom would fail. Evicts nothing: for callers who are not authenticated.
  absl::Status CheckRoom(SteadyTime now) const;
  // Evicts, from a full table, the idle sessions or else the oldest unused one. SESSION_LIMIT when there are none.
  absl::Status MakeRoom(SteadyTime now);
  // There must be room, and no session of that id.
  void Insert(Session session);
  void EvictIdle(SteadyTime now);
  void RemoveAllOf(const KeyId& key_id);

 private:
  bool IsFull() const { return size() >= max_sessions_; }
  void EvictIdleOf(std::list<Session>& sessions, SteadyTime now);

  const size_t max_sessions_;
  const std::chrono::seconds idle_timeout_;
  std::list<Session> used_;    // the longest idle first
  std::list<Session> unused_;  // have carried no request; the oldest first
  absl::flat_hash_map<SessionId, std::list<Session>::iterator> by_id_;
};

}  // namespace shoji::channel
