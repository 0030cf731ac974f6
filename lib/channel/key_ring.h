// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/channel/framing.h"
#include "lib/crypto/hpke.h"

namespace shoji::channel {

// Makes the bytes of the manifest that goes with a key. Called while the ring's owner holds its lock: it must not call
// back. `expires_at` is in whole seconds.
using MakeManifest = std::function<Bytes(const crypto::HpkePublicKey& public_key, SystemTime expires_at)>;

// The same moment on both clocks: intervals are measured on the steady one, expiry is announced on the other.
struct Moment {
  SteadyTime steady;
  SystemTime system;
};

// The enclave's HPKE keys, one manifest each: the current one and those in grace. The life of a key:
//
//   created               current: new clients are given its manifest
//   + rotate_after        another becomes current; clients that have the manifest already may still open sessions
//   + rotate_after        expires_at: no new session (UNKNOWN_KEY); its sessions go on
//     + grace
//   + rotate_after        destroyed: the private key is wiped and the key is forgotten (UNKNOWN_KEY)
//     + 2 grace
//
// A key that has accepted max_sessions_per_key sessions opens no more (SESSION_LIMIT), is replaced at once and
// destroyed one grace period later. At most kMaxKeys keys exist: while the ring is full, a current key at its limit is
// replaced only when the oldest key's time is over, so that a flood of sessions cannot push out keys in use. Reissue
// kills every key (STALE_MANIFEST), Adopt none. Every accepted `enc` is remembered until its key is destroyed.
//
// Thread-compatible.
class KeyRing {
 public:
  static constexpr size_t kMaxKeys = 8;
  static constexpr size_t kMaxDeadKeys = 4096;

  struct Options {
    std::chrono::seconds rotate_after;
    std::chrono::seconds grace;
    size_t max_sessions_per_key;
  };

  struct Key {
    KeyId id = {};
    // Shared with the sessions that are being set up; wiped when the last lets go.
    std::shared_ptr<const crypto::HpkeKeyPair> pair;
    Bytes manifest;
    ManifestDigest manifest_digest = {};
    SystemTime expires_at;
    SteadyTime rotate_at;
    SteadyTime refuses_sessions_at;
    SteadyTime destroy_at;
    absl::flat_hash_set<crypto::HpkeEnc> accepted;
    // The state that the manifest describes. Shared with the requests in flight under the key.
    std::shared_ptr<const void> context;
  };

  KeyRing(const Options& options, MakeManifest make_manifest, std::shared_ptr<const void> context, const Moment& now);

  // Does what is due at `now`; returns the keys it destroyed.
  std::vector<KeyId> Advance(const Moment& now);
  // Replaces all keys by one new key under a new manifest; returns the keys it killed.
  std::vector<KeyId> Reissue(MakeManifest make_manifest, std::shared_ptr<const void> context, const Moment& now);
  // Takes another state for all keys where its manifest is the same but for what differs between keys, and returns
  // true; otherwise changes nothing.
  bool Adopt(const MakeManifest& make_manifest, std::shared_ptr<const void> context);

  const Key& current() const { return keys_.front(); }
  // Since the start.
  uint64_t num_made() const { return num_made_; }
  // Current first, then from the newest to the oldest.
  std::vector<KeyId> LiveKeyIds() const;
  // Keys that a Reissue killed, newest first, at most `max`.
  std::vector<KeyId> StaleKeyIds(size_t max) const;

  // A live key; NOT_FOUND (UNKNOWN_KEY), or FAILED_PRECONDITION (STALE_MANIFEST) for one that a Reissue killed.
  absl::StatusOr<const Key*> Find(const KeyId& id) const;

  // Whether a session with `enc` for `manifest_digest` may be opened under `key_id`: the errors of Find, and
  // UNKNOWN_KEY (expired), STALE_MANIFEST (another manifest), ENC_REUSED, SESSION_LIMIT.
  absl::StatusOr<const Key*> FindForNewSession(const KeyId& key_id, const ManifestDigest& manifest_digest,
                                               const crypto::HpkeEnc& enc, const Moment& now) const;
  // Remembers `enc` under the live key `key_id`.
  void Remember(const KeyId& key_id, const crypto::HpkeEnc& enc);

 private:
  bool IsFull(const Key& key) const { return key.accepted.size() >= options_.max_sessions_per_key; }
  void AddKey(const Moment& now);
  void Rotate(const Moment& now);

  const Options options_;
  MakeManifest make_manifest_;
  std::shared_ptr<const void> context_;
  uint64_t num_made_ = 0;
  std::list<Key> keys_;     // the current one first; never empty
  std::deque<KeyId> dead_;  // killed by Reissue, newest last
};

}  // namespace shoji::channel
