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
  std::shared_ptr<const void> context;  // the state its manifest describes; shared likewise
  ReplayWindow window;
  SteadyTime last_used;
};

// The live sessions, at most `max_sessions`. One that was not used for `idle_timeout` may be evicted; one that was is
// never pushed out by a new one. Thread-compatible.
class SessionTable {
 public:
  SessionTable(size_t max_sessions, std::chrono::seconds idle_timeout)
      : max_sessions_(max_sessions), idle_timeout_(idle_timeout) {}

  size_t size() const { return sessions_.size(); }
  // Null when there is none. Valid until the table changes.
  Session* Find(const SessionId& id);
  // Marks `session` (of this table) as used at `now`, which never goes back.
  void Touch(const Session& session, SteadyTime now);
  // RESOURCE_EXHAUSTED (SESSION_LIMIT) when the table is full of sessions in use; evicts idle ones for room.
  absl::Status CheckRoom(SteadyTime now);
  // There must be room, and no session of that id.
  void Insert(Session session);
  void EvictIdle(SteadyTime now);
  void RemoveAllOf(const KeyId& key_id);

 private:
  const size_t max_sessions_;
  const std::chrono::seconds idle_timeout_;
  std::list<Session> sessions_;  // the longest unused first
  absl::flat_hash_map<SessionId, std::list<Session>::iterator> by_id_;
};

}  // namespace shoji::channel
