// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The owner's side of a sealed model: hands its key to an enclave, once the evidence is accepted.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/appraisal.h"
#include "client/attempts.h"
#include "client/retry.h"
#include "client/transport.h"
#include "lib/attest/manifest.h"
#include "lib/base/clock.h"
#include "lib/channel/initiator.h"
#include "lib/sealed_model/open.h"

namespace shoji::client {

// What one enclave is found to do with the sealed model.
struct SealedModelState {
  Appraisal appraisal;
  std::vector<attest::AwaitedModel> awaited;    // every entry of the file, and what the enclave means to do with it
  std::optional<attest::ModelManifest> served;  // or one of the entries that are served
};

// Releases the key of one sealed model, to one enclave a call. Before anything leaves, the enclave's evidence is
// appraised for a fresh nonce; the key then goes sealed to the attested HPKE key, bound to the manifest, the sealed
// file's digest, the session, a sequence number and that nonce, so that no other enclave can use it and this one only
// once. Thread-compatible.
class KeyReleaser {
 public:
  struct Options {
    AppraisalPolicy appraisal;
    // Where nobody answers at the server's address, Attest gives up before its deadline: after this; zero: at once.
    std::chrono::milliseconds patience = kFirstPatience;
    // Told once when simulated evidence is accepted, and when nobody answers and Attest begins to wait. Unset: stderr.
    std::function<void(const std::string&)> warn;
    // For tests; both must outlive the releaser. Unset: the real clock, and sleeping.
    const Clock* clock = nullptr;
    std::function<void(std::chrono::milliseconds)> wait;
  };

  // `file` and `key` belong together and outlive it. INVALID_ARGUMENT: bad options.
  static absl::StatusOr<std::unique_ptr<KeyReleaser>> Create(Options options, std::unique_ptr<Transport> transport,
                                                             const sealed_model::SealedFile& file,
                                                             const sealed_model::FileKey& key);
  KeyReleaser(const KeyReleaser&) = delete;
  KeyReleaser& operator=(const KeyReleaser&) = delete;

  // Evidence of an enclave that awaits the key or, where none does, of one that serves the model, accepted. Errors: a
  // refusal (IsRefusal); UNKNOWN_SEALED_MODEL; UNAVAILABLE where nobody answers; DEADLINE_EXCEEDED, which names the
  // last error met, after trying again and again until `deadline`.
  absl::StatusOr<SealedModelState> Attest(SteadyTime deadline);

  // Sends the key to the enclave of `state`, fresh from Attest, and returns when it serves the model, with its budget
  // renewed. A step that the server is too busy for is repeated until `deadline`. Errors: WRONG_MODEL_KEY,
  // MODEL_REFUSED, OPEN_FAILED, ...; after UNKNOWN_KEY, STALE_MANIFEST and the like attest anew.
  absl::Status Release(const SealedModelState& state, SteadyTime deadline);

 private:
  KeyReleaser(Options options, std::unique_ptr<Transport> transport, std::unique_ptr<Appraiser> appraiser,
              const sealed_model::SealedFile& file, const sealed_model::FileKey& key);
  absl::StatusOr<SealedModelState> AttestOnce(SteadyTime deadline);
  absl::StatusOr<std::unique_ptr<channel::Initiator>> Open(const SealedModelState& state, SteadyTime deadline);
  // One sealed request, and what the enclave answers.
  absl::Status Send(channel::Initiator& initiator, const SealedModelState& state, SteadyTime deadline);
  Attempts attempts() const;

  Options options_;
  const RealClock real_clock_;
  const std::unique_ptr<Transport> transport_;
  const std::unique_ptr<Appraiser> appraiser_;
  const sealed_model::SealedFile& file_;
  const sealed_model::FileKey& key_;
  attest::Nonce nonce_ = {};  // of the last evidence
  bool warned_ = false;
};

}  // namespace shoji::client
