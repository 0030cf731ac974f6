// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The enclave behind its front end, without any RPC: sessions, sealed requests and answers, models, manifest, reload.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/core/model.h"
#include "lib/attest/manifest.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/channel/responder.h"

namespace shoji::enclave {

// What is served under one manifest. Immutable.
using ModelSet = std::vector<std::unique_ptr<Model>>;

// What may be told to anybody.
struct PublicState {
  bool ready = false;
  std::string not_ready_because;
  std::vector<channel::KeyId> key_ids;        // current first
  std::vector<channel::KeyId> stale_key_ids;  // killed by reloads, the newest
  std::shared_ptr<const ModelSet> models;
};

// Thread-safe.
class Enclave {
 public:
  struct Options {
    const Clock* clock = nullptr;  // outlives the enclave
    channel::ResponderOptions channel;
    std::string software_version;
  };
  // INVALID_ARGUMENT: no models, two of one name, or an option out of range.
  static absl::StatusOr<std::unique_ptr<Enclave>> Create(Options options, ModelSet models);

  Enclave(const Enclave&) = delete;
  Enclave& operator=(const Enclave&) = delete;

  // The current manifest, and the report data that binds it to `nonce`: what a quote must hold.
  struct Claim {
    Bytes manifest;
    attest::ReportData report_data;
  };
  // BAD_NONCE unless `nonce` has 32 bytes.
  absl::StatusOr<Claim> ClaimFor(ByteSpan nonce);

  // See channel::Responder::OpenSession.
  absl::StatusOr<channel::HelloAck> OpenSession(const channel::KeyId& key_id,
                                                const channel::ManifestDigest& manifest_digest,
                                                const crypto::HpkeEnc& enc, ByteSpan sealed_hello);

  // One request, blocking. An error that depends on the plaintext comes back sealed, as an answer; the others carry a
  // Reason: those of channel::Responder::Open, UNKNOWN_MODEL, WRONG_LENGTH, NO_ACCELERATOR, DEADLINE, INTERNAL.
  absl::StatusOr<channel::SealedAnswer> Infer(const channel::SealedRequest& request, SteadyTime deadline);

  // Serves `models` from now on under a new manifest; every older key and session is refused as stale, requests in
  // flight finish under the manifest they were sent for. INVALID_ARGUMENT leaves everything as it was.
  absl::Status Reload(ModelSet models);

  // Does what is due: rotates and forgets keys, evicts idle sessions. Call every few seconds.
  void Tick();
  PublicState public_state();

 private:
  Enclave(Options options, std::unique_ptr<channel::Responder> responder, std::shared_ptr<const ModelSet> models);

  const Options options_;
  const std::unique_ptr<channel::Responder> responder_;
  absl::Mutex mu_;
  std::shared_ptr<const ModelSet> models_ ABSL_GUARDED_BY(mu_);
};

}  // namespace shoji::enclave
