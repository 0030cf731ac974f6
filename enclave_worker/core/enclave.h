// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The enclave behind its front end, without any RPC: sessions, sealed requests and answers, models, manifest, reload.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/model.h"
#include "enclave_worker/core/released_keys.h"
#include "enclave_worker/core/run_context.h"
#include "enclave_worker/core/sealed_source.h"
#include "lib/attest/manifest.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/channel/release.h"
#include "lib/channel/responder.h"

namespace shoji::enclave {

// What is served under one manifest, and what is not yet. Immutable.
struct Served {
  // Shared with the next one, where the release of another model's key changes nothing of them.
  std::vector<std::shared_ptr<const Model>> models;
  std::vector<AwaitedModel> awaited;
};

// What may be told to anybody.
struct PublicState {
  bool ready = false;
  std::string not_ready_because;
  std::vector<channel::KeyId> key_ids;        // current first
  std::vector<channel::KeyId> stale_key_ids;  // killed by reloads, the newest
  std::shared_ptr<const Served> served;
};

// Thread-safe.
class Enclave {
 public:
  struct Options {
    const Clock* clock = nullptr;  // outlives the enclave
    channel::ResponderOptions channel;
    std::string software_version;
    ReleasedKeys* keys = nullptr;  // outlives the enclave; may be null where nothing is awaited
  };
  // INVALID_ARGUMENT: no models, two of one name, or an option out of range.
  static absl::StatusOr<std::unique_ptr<Enclave>> Create(Options options, Served served);

  Enclave(const Enclave&) = delete;
  Enclave& operator=(const Enclave&) = delete;

  // The current manifest, and the report data that binds it to `nonce`: what a quote must hold.
  struct Claim {
    Bytes manifest;
    attest::ReportData report_data;
  };
  Claim ClaimFor(const attest::Nonce& nonce);

  // See channel::Responder::OpenSession.
  absl::StatusOr<channel::HelloAck> OpenSession(const channel::KeyId& key_id,
                                                const channel::ManifestDigest& manifest_digest,
                                                const crypto::HpkeEnc& enc, ByteSpan sealed_hello);

  // One request, blocking. An error that depends on the plaintext comes back sealed, as an answer; the others carry a
  // Reason: those of channel::Responder::Open, UNKNOWN_MODEL, WRONG_LENGTH, NO_ACCELERATOR, DEADLINE, INTERNAL; or it
  // is CANCELLED. `run` holds the time that the request has waited already, and all phases afterwards.
  absl::StatusOr<channel::SealedAnswer> Infer(const channel::SealedRequest& request, RunContext& run);

  // Whether a request for `model` of so many sealed bytes would be answered at once: it waits for nobody, and those
  // before it took hardly longer than it takes to hand one to another thread.
  bool IsShort(const std::string& model, size_t ciphertext_bytes);

  // A sealed model's key from its owner, blocking: where the model is awaited it is served from then on, under a new
  // manifest as after Reload, and its budget is what its header says. What becomes of it comes back sealed: OK with the
  // owner's nonce, BAD_INPUT, STALE_MANIFEST, UNKNOWN_SEALED_MODEL, WRONG_MODEL_KEY, REPLAYED, MODEL_REFUSED. Other
  // errors carry a Reason: those of channel::Responder::Open, UNKNOWN_SESSION also where the session has been idle for
  // 30 s, OVERLOADED while another release is under way.
  absl::StatusOr<channel::SealedAnswer> Release(const channel::SealedRequest& request);

  // Serves what `load` makes from now on. Where its manifest says anything else than the one before, that is under a
  // new key and manifest: every older key and session is refused as stale, requests in flight finish under the manifest
  // they were sent for. Where it says the same, keys and sessions go on. An error of `load`, or INVALID_ARGUMENT,
  // leaves everything as it was. No release comes between what `load` sees and what is served.
  enum class Reloaded : uint8_t { kManifestKept, kManifestRenewed };
  absl::StatusOr<Reloaded> Reload(const std::function<absl::StatusOr<Served>()>& load);

  // Does what is due: rotates and forgets keys, evicts idle sessions. Call every few seconds.
  void Tick();
  PublicState public_state();
  // Counts for the operator.
  channel::ResponderCounts channel_counts() { return responder_->counts(); }

 private:
  Enclave(Options options, std::unique_ptr<channel::Responder> responder, std::shared_ptr<const Served> served);

  // `appraised`: the state whose manifest the owner appraised.
  absl::Status Accept(const channel::KeyRelease& release, const void* appraised);
  // Opens every model that awaits `key`, and serves it.
  absl::Status ServeAwaited(const channel::KeyRelease& release, const sealed_model::FileKey& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  Reloaded Replace(Served served) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mu_);
  // With a trailer where the request asks for one.
  absl::StatusOr<channel::SealedAnswer> Seal(const channel::OpenedRequest& opened, const absl::Status& status,
                                             ByteSpan outputs, size_t output_bytes, RunContext& run);
  std::shared_ptr<const Served> served();

  const Options options_;
  const std::unique_ptr<channel::Responder> responder_;
  std::atomic<bool> is_releasing_ = false;
  absl::Mutex change_mu_ ABSL_ACQUIRED_BEFORE(mu_);  // held while the next state is made
  absl::Mutex mu_;
  std::shared_ptr<const Served> served_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
