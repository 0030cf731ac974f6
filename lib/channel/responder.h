// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/channel/answer_cipher.h"
#include "lib/channel/framing.h"
#include "lib/channel/key_ring.h"
#include "lib/channel/session_table.h"
#include "lib/crypto/plaintext_bytes.h"

namespace shoji::channel {

struct ResponderOptions {
  // 2 MiB of locked memory hold the keys of this many sessions and of the requests in flight.
  static constexpr size_t kMaxLiveSessions = 16384;

  std::chrono::seconds rotate_after = std::chrono::hours(1);     // at least 1 s
  std::chrono::seconds grace = std::chrono::minutes(10);         // at most rotate_after
  size_t max_sessions_per_key = 65536;                           // at least 1
  size_t max_live_sessions = 10000;                              // 1 .. kMaxLiveSessions
  std::chrono::seconds idle_timeout = std::chrono::minutes(10);  // at least 1 s
  size_t replay_window_size = 1024;                              // 64 .. 65536
};

// The manifest to give to new clients, and the key it names.
struct ManifestView {
  Bytes bytes;
  ManifestDigest digest = {};
  KeyId key_id = {};
  SystemTime expires_at;
};

// For an operator; nothing of it is secret.
struct ResponderCounts {
  size_t live_sessions = 0;
  size_t max_live_sessions = 0;
  uint64_t sessions_opened = 0;   // since the start
  size_t sessions_under_key = 0;  // ever opened under the current key
  size_t max_sessions_per_key = 0;
  uint64_t keys_made = 0;
  std::chrono::nanoseconds key_age = {};  // of the current key
};

struct HelloAck {
  SessionId session_id = {};
  SealedAnswer sealed_hello;
};

// A request that authenticated and whose sequence number is used up: execute it at most once, from this object.
struct OpenedRequest {
  crypto::PlaintextBytes plaintext;
  // What Create, Reissue or Adopt was given last with the manifest of the request's session; the request runs under
  // this state even when another comes meanwhile.
  std::shared_ptr<const void> context;
  ResponseSealer sealer;
  // How long ago its session was used before, or opened.
  SteadyTime::duration idle_for = {};
};

// The enclave's end of the channel: keys, sessions, and the decision which request is opened. Errors are made by
// ErrorOf(Reason), and say no more than it does. In the order in which Open decides:
//
//   UNKNOWN_KEY, STALE_MANIFEST   the key; before any decryption
//   UNKNOWN_SESSION               no such session under that key
//   SEQUENCE_TOO_OLD, REPLAYED    the session's replay window
//   OPEN_FAILED                   the message does not authenticate; nothing changes
//   (the number is marked used)   any of the first four, when another thread was faster meanwhile
//
// Thread-safe: decryption runs outside the lock.
class Responder {
 public:
  // `clock` must outlive it. `context` is opaque. INVALID_ARGUMENT names an option out of range; FAILED_PRECONDITION
  // when memory for keys cannot be locked.
  static absl::StatusOr<std::unique_ptr<Responder>> Create(const ResponderOptions& options, const Clock& clock,
                                                           MakeManifest make_manifest,
                                                           std::shared_ptr<const void> context);
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  ManifestView Current();
  // The keys under which requests are answered: current first.
  std::vector<KeyId> LiveKeyIds();
  // Keys whose requests are refused as STALE_MANIFEST: newest first, at most `max`.
  std::vector<KeyId> StaleKeyIds(size_t max);

  // Sets a session up. `enc` is remembered only when the hello authenticates. UNKNOWN_KEY (also: expired),
  // STALE_MANIFEST, ENC_REUSED, SESSION_LIMIT, OPEN_FAILED.
  absl::StatusOr<HelloAck> OpenSession(const KeyId& key_id, const ManifestDigest& manifest_digest,
                                       const crypto::HpkeEnc& enc, ByteSpan sealed_hello);

  // Opens a request as described above. It knows no models: that the name exists and that the length is the model's is
  // checked by the caller, on the result and with its context.
  absl::StatusOr<OpenedRequest> Open(const SealedRequest& request);

  // Replaces the manifest (a reload): a new key at once; every older key and session is dead, and their later requests
  // get STALE_MANIFEST. Requests already opened are answered.
  void Reissue(MakeManifest make_manifest, std::shared_ptr<const void> context);

  // Replaces the state behind a manifest that says the same as before, and returns true: keys, sessions and evidence
  // stay as they are. False, and nothing changes, where it says anything else: that takes a Reissue.
  bool Adopt(const MakeManifest& make_manifest, std::shared_ptr<const void> context);

  // Does what is due: rotation, destruction of old keys, eviction of idle sessions. All calls above do the first two by
  // themselves; call this every few seconds so that keys also die when nobody calls.
  void Tick();

  size_t num_live_sessions();
  ResponderCounts counts();

 private:
  Responder(const ResponderOptions& options, const Clock& clock, MakeManifest make_manifest,
            std::shared_ptr<const void> context);

  Moment Now() const { return {.steady = clock_.SteadyNow(), .system = clock_.SystemNow()}; }
  Moment AdvanceLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The session that may open `request`, or why none may.
  absl::StatusOr<Session*> FindSessionLocked(const SealedRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Admits the authenticated session, unless the world changed while its hello was opened.
  absl::Status AdmitLocked(const crypto::HpkeEnc& enc, Session session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const ResponderOptions options_;
  const Clock& clock_;
  absl::Mutex mu_;
  KeyRing ring_ ABSL_GUARDED_BY(mu_);
  SessionTable sessions_ ABSL_GUARDED_BY(mu_);
  uint64_t num_opened_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace shoji::channel
