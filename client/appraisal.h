// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Whether to trust an enclave, decided before anything leaves this process.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/attest/evidence.h"
#include "lib/attest/manifest.h"
#include "lib/attest/simulated/simulated_evidence.h"
#include "lib/attest/verifier.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"

namespace shoji::client {

// Simulated evidence shows that everything works. It protects nothing: whoever runs the machine reads what is sent.
enum class SimulatedEvidence : uint8_t { kRefuse, kAllow };

struct AppraisalPolicy {
  SimulatedEvidence simulated = SimulatedEvidence::kRefuse;
  // Who may sign it, from the operator; at least one where it is allowed. Any other signer is refused.
  std::vector<attest::Ed25519PublicKey> simulated_signers;
};

// What was found. `manifest` is set when the bytes are a manifest, accepted or not.
struct Appraisal {
  attest::AttestationResult result;
  std::optional<attest::Manifest> manifest;
  digest::Sha256Digest manifest_digest = {};

  // OK, or a refusal that names the first failed step.
  absl::Status ToStatus() const;
};

// PERMISSION_DENIED, marked so that IsRefusal tells it from a server's PERMISSION_DENIED: this client will not send
// anything. Never worth a retry.
absl::Status RefusalError(const std::string& message);
bool IsRefusal(const absl::Status& status);

// Appraises manifests and evidence. Thread-safe.
class Appraiser {
 public:
  // INVALID_ARGUMENT when simulated evidence is allowed but no signer is named.
  static absl::StatusOr<std::unique_ptr<Appraiser>> Create(const AppraisalPolicy& policy);
  Appraiser(const Appraiser&) = delete;
  Appraiser& operator=(const Appraiser&) = delete;

  // Steps, in order, up to the first that makes the later ones meaningless: the manifest is well formed, its kind of
  // evidence is accepted, the verifier's own steps (for `nonce`, so that old evidence fails), and it has not expired at
  // `now`.
  Appraisal Appraise(ByteSpan manifest, const attest::Evidence& evidence, const attest::Nonce& nonce,
                     SystemTime now) const;

 private:
  Appraiser(SimulatedEvidence allowed, std::unique_ptr<attest::Verifier> verifier);

  const SimulatedEvidence simulated_allowed_;
  const std::unique_ptr<attest::Verifier> simulated_;  // null where refused
};

}  // namespace shoji::client
