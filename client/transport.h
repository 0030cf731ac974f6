// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/attest/evidence.h"
#include "lib/attest/manifest.h"
#include "lib/attest/nonce_tree.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/channel/framing.h"
#include "lib/crypto/hpke.h"
#include "lib/digest/sha2.h"

namespace shoji::client {

struct EvidenceReply {
  Bytes manifest;
  attest::Evidence evidence;
  // Where callers who waited at the same time share the evidence: it holds the nonce that this leads to from ours.
  std::optional<attest::NoncePath> nonce_path = {};
};

// What the server says about a model. Nothing of it is trusted before its digests are compared with the manifest's.
struct ModelDescription {
  std::string name;
  Bytes preprocessing;
  Bytes labels;
};

struct SessionOffer {
  channel::KeyId key_id = {};
  channel::ManifestDigest manifest_digest = {};
  crypto::HpkeEnc enc = {};
  Bytes sealed_hello;
};

struct SessionReply {
  channel::SessionId session_id = {};
  channel::SealedAnswer hello;
};

// The calls that a session and a release make, one try each, no retries. Everything that comes back is hostile; an
// implementation checks lengths and no more. Errors carry the server's code and Reason, UNAVAILABLE when it cannot be
// reached, DEADLINE_EXCEEDED at `deadline`. Thread-safe.
class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  // Connects, where there is no connection, and returns OK once there is one. Otherwise says why there is none, at the
  // first failure to make one or at `deadline`: UNAVAILABLE (NobodyAnswers), or FAILED_PRECONDITION where another try
  // would fail as well.
  virtual absl::Status AwaitConnection(SteadyTime /*deadline*/) { return absl::OkStatus(); }
  virtual absl::StatusOr<EvidenceReply> GetEvidence(const attest::Nonce& nonce, const std::string& model,
                                                    SteadyTime deadline) = 0;
  virtual absl::StatusOr<std::vector<ModelDescription>> ListModels(SteadyTime deadline) = 0;
  virtual absl::StatusOr<SessionReply> OpenSession(const SessionOffer& offer, SteadyTime deadline) = 0;
  virtual absl::StatusOr<channel::SealedAnswer> Infer(const channel::SealedRequest& request, SteadyTime deadline) = 0;
  // The same without waiting: `done` is called once, from any thread, also before this returns. The transport outlives
  // the call.
  using OnAnswer = std::function<void(absl::StatusOr<channel::SealedAnswer>)>;
  virtual void StartInfer(const channel::SealedRequest& request, SteadyTime deadline, OnAnswer done) {
    done(Infer(request, deadline));
  }
  // Evidence of an enclave that awaits the key of the sealed model of that digest, or else of one that serves it.
  virtual absl::StatusOr<EvidenceReply> GetSealedModelEvidence(const attest::Nonce& nonce,
                                                               const digest::Sha256Digest& sealed_digest,
                                                               SteadyTime deadline) = 0;
  virtual absl::StatusOr<channel::SealedAnswer> ReleaseKey(const channel::SealedRequest& request,
                                                           SteadyTime deadline) = 0;
  // The least time that the server asks to wait before a retry after `status`; zero without advice.
  virtual std::chrono::milliseconds RetryAfter(const absl::Status& status) const = 0;
};

}  // namespace shoji::client
