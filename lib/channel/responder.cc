// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/channel/responder.h"

#include <string>
#include <utility>

#include "lib/base/reason.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/secret_bytes.h"

namespace shoji::channel {
namespace {

absl::Status Validate(const ResponderOptions& options) {
  using std::chrono::seconds;
  if (options.rotate_after < seconds(1)) {
    return absl::InvalidArgumentError("rotate_after must be at least 1 s");
  }
  if (options.grace < seconds(0) || options.grace > options.rotate_after) {
    return absl::InvalidArgumentError("grace must be between 0 s and rotate_after");
  }
  if (options.max_sessions_per_key == 0) {
    return absl::InvalidArgumentError("max_sessions_per_key must be at least 1");
  }
  if (options.max_live_sessions == 0 || options.max_live_sessions > ResponderOptions::kMaxLiveSessions) {
    return absl::InvalidArgumentError("max_live_sessions must be between 1 and " +
                                      std::to_string(ResponderOptions::kMaxLiveSessions));
  }
  if (options.idle_timeout < seconds(1)) {
    return absl::InvalidArgumentError("idle_timeout must be at least 1 s");
  }
  if (options.replay_window_size < 64 || options.replay_window_size > 65536) {
    return absl::InvalidArgumentError("replay_window_size must be between 64 and 65536");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Responder>> Responder::Create(const ResponderOptions& options, const Clock& clock,
                                                             MakeManifest make_manifest,
                                                             std::shared_ptr<const void> context) {
  RETURN_IF_ERROR(Validate(options));
  RETURN_IF_ERROR(crypto::InitializeSecretMemory());
  return std::unique_ptr<Responder>(new Responder(options, clock, std::move(make_manifest), std::move(context)));
}

Responder::Responder(const ResponderOptions& options, const Clock& clock, MakeManifest make_manifest,
                     std::shared_ptr<const void> context)
    : options_(options),
      clock_(clock),
      ring_({.rotate_after = options.rotate_after,
             .grace = options.grace,
             .max_sessions_per_key = options.max_sessions_per_key},
            std::move(make_manifest), std::move(context), Now()),
      sessions_(options.max_live_sessions, options.idle_timeout) {}

Moment Responder::AdvanceLocked() {
  const Moment now = Now();
  for (const KeyId& destroyed : ring_.Advance(now)) {
    sessions_.RemoveAllOf(destroyed);
  }
  return now;
}

ManifestView Responder::Current() {
  const absl::MutexLock lock(&mu_);
  AdvanceLocked();
  const KeyRing::Key& key = ring_.current();
  return {.bytes = key.manifest, .digest = key.manifest_digest, .key_id = key.id, .expires_at = key.expires_at};
}

std::vector<KeyId> Responder::StaleKeyIds(size_t max) {
  const absl::MutexLock lock(&mu_);
  return ring_.StaleKeyIds(max);
}

std::vector<KeyId> Responder::LiveKeyIds() {
  const absl::MutexLock lock(&mu_);
  AdvanceLocked();
  return ring_.LiveKeyIds();
}

absl::StatusOr<HelloAck> Responder::OpenSession(const KeyId& key_id, const ManifestDigest& manifest_digest,
                                                const crypto::HpkeEnc& enc, ByteSpan sealed_hello) {
  Session session = {.id = SessionIdOf(enc, manifest_digest),
                     .key_id = key_id,
                     .manifest_digest = manifest_digest,
                     .hpke = nullptr,
                     .window = ReplayWindow(options_.replay_window_size),
                     .last_used = {}};
  std::shared_ptr<const crypto::HpkeKeyPair> pair;
  {
    const absl::MutexLock lock(&mu_);
    const Moment now = AdvanceLocked();
    ASSIGN_OR_RETURN(const KeyRing::Key* const key, ring_.FindForNewSession(key_id, manifest_digest, enc, now));
    RETURN_IF_ERROR(sessions_.CheckRoom(now.steady));
    pair = key->pair;
  }
  ASSIGN_OR_RETURN(session.hpke, crypto::SetupBaseRecipient(enc, *pair, SessionInfo(manifest_digest)));
  ASSIGN_OR_RETURN(const crypto::PlaintextBytes hello,
                   session.hpke->OpenAt(kHelloSequence, HelloAad(session.id, manifest_digest), sealed_hello));
  if (hello.size() != 0) {
    return ErrorOf(Reason::kOpenFailed);
  }
  RETURN_IF_ERROR(session.window.Mark(kHelloSequence));
  HelloAck ack = {.session_id = session.id, .sealed_hello = {}};
  const ResponseSealer sealer(
      session.hpke,
      {.session_id = session.id, .sequence = kHelloSequence, .model = "", .manifest_digest = manifest_digest});
  ASSIGN_OR_RETURN(ack.sealed_hello, sealer.Seal({}));
  const absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(AdmitLocked(enc, std::move(session)));
  return ack;
}

absl::Status Responder::AdmitLocked(const crypto::HpkeEnc& enc, Session session) {
  const Moment now = AdvanceLocked();
  RETURN_IF_ERROR(ring_.FindForNewSession(session.key_id, session.manifest_digest, enc, now).status());
  RETURN_IF_ERROR(sessions_.MakeRoom(now.steady));
  ring_.Remember(session.key_id, enc);
  session.last_used = now.steady;
  sessions_.Insert(std::move(session));
  ++num_opened_;
  return absl::OkStatus();
}

absl::StatusOr<Session*> Responder::FindSessionLocked(const SealedRequest& request) {
  RETURN_IF_ERROR(ring_.Find(request.key_id).status());
  Session* const session = sessions_.Find(request.session_id);
  if (session == nullptr || session->key_id != request.key_id) {
    return ErrorOf(Reason::kUnknownSession);
  }
  return session;
}

absl::StatusOr<OpenedRequest> Responder::Open(const SealedRequest& request) {
  MessageIdentity identity = {
      .session_id = request.session_id, .sequence = request.sequence, .model = request.model, .manifest_digest = {}};
  std::shared_ptr<const crypto::HpkeRecipientContext> hpke;
  {
    const absl::MutexLock lock(&mu_);
    AdvanceLocked();
    ASSIGN_OR_RETURN(const Session* const session, FindSessionLocked(request));
    RETURN_IF_ERROR(session->window.Check(request.sequence));
    identity.manifest_digest = session->manifest_digest;
    hpke = session->hpke;
  }
  ASSIGN_OR_RETURN(crypto::PlaintextBytes plaintext,
                   hpke->OpenAt(request.sequence, RequestAad(identity, request.purpose), request.ciphertext));
  std::shared_ptr<const void> context;
  SteadyTime::duration idle_for = {};
  {
    // Authenticated, not yet executed: the one place where a number is marked.
    const absl::MutexLock lock(&mu_);
    const Moment now = AdvanceLocked();
    ASSIGN_OR_RETURN(Session* const session, FindSessionLocked(request));
    RETURN_IF_ERROR(session->window.Mark(request.sequence));
    idle_for = now.steady - session->last_used;
    sessions_.Touch(*session, now.steady);
    ASSIGN_OR_RETURN(const KeyRing::Key* const key, ring_.Find(request.key_id));
    context = key->context;
  }
  return OpenedRequest{.plaintext = std::move(plaintext),
                       .context = std::move(context),
                       .sealer = ResponseSealer(std::move(hpke), std::move(identity)),
                       .idle_for = idle_for};
}

void Responder::Reissue(MakeManifest make_manifest, std::shared_ptr<const void> context) {
  std::shared_ptr<const void> replaced;  // outlives the lock: destroying a whole state takes a while
  const absl::MutexLock lock(&mu_);
  replaced = ring_.current().context;
  for (const KeyId& killed : ring_.Reissue(std::move(make_manifest), std::move(context), Now())) {
    sessions_.RemoveAllOf(killed);
  }
}

bool Responder::Adopt(const MakeManifest& make_manifest, std::shared_ptr<const void> context) {
  std::shared_ptr<const void> replaced;  // outlives the lock, as above
  const absl::MutexLock lock(&mu_);
  replaced = ring_.current().context;
  return ring_.Adopt(make_manifest, std::move(context));
}

void Responder::Tick() {
  const absl::MutexLock lock(&mu_);
  const Moment now = AdvanceLocked();
  sessions_.EvictIdle(now.steady);
}

size_t Responder::num_live_sessions() {
  const absl::MutexLock lock(&mu_);
  return sessions_.size();
}

ResponderCounts Responder::counts() {
  const absl::MutexLock lock(&mu_);
  const Moment now = AdvanceLocked();
  const KeyRing::Key& key = ring_.current();
  return {.live_sessions = sessions_.size(),
          .max_live_sessions = options_.max_live_sessions,
          .sessions_opened = num_opened_,
          .sessions_under_key = key.accepted.size(),
          .max_sessions_per_key = options_.max_sessions_per_key,
          .keys_made = ring_.num_made(),
          .key_age = now.steady - (key.rotate_at - options_.rotate_after)};
}

}  // namespace shoji::channel
