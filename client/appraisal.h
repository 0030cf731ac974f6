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
#include "client/collateral/fetching_verifier.h"
#include "client/transport.h"
#include "lib/attest/appraisal/appraisal_policy.h"
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
  std::vector<attest::Ed25519PublicKey> simulated_signers = {};
  // What is accepted of evidence of a TEE, and of models whatever the evidence; lib/appraisal_file reads it. Unset:
  // evidence of a TEE is refused, since nothing says which enclaves to trust.
  std::optional<attest::AppraisalPolicy> policy = {};
  // Whether collateral that is missing or stale is fetched from the services that `policy` names, if it names any.
  Network network = Network::kAsConfigured;
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

// Appraises manifests, evidence, and what is stated of models. Thread-safe.
class Appraiser {
 public:
  // Reads the collateral that the policy names; what stays in force is what the files hold now. (A cache of what is
  // fetched is read for each appraisal, which may then wait for a service: FetchingVerifier.) INVALID_ARGUMENT when
  // simulated evidence is allowed but no signer is named, or the policy is not usable; a refusal that names the file
  // when collateral cannot be read.
  static absl::StatusOr<std::unique_ptr<Appraiser>> Create(const AppraisalPolicy& policy);
  Appraiser(const Appraiser&) = delete;
  Appraiser& operator=(const Appraiser&) = delete;

  // Steps, in order, up to the first that makes the later ones meaningless: "manifest" (well formed), "evidence kind"
  // (one that this client appraises), the verifier's own steps (for `nonce`, or the root that the reply's path leads to
  // from it, so that old evidence fails), and "expiry" (of the manifest, at `now`).
  Appraisal Appraise(const EvidenceReply& reply, const attest::Nonce& nonce, SystemTime now) const;

  // The same of evidence alone, which then stands for no manifest and no nonce. Its last step, "binding", always fails:
  // the most that such evidence can be is genuine.
  attest::AttestationResult AppraiseUnbound(const attest::Evidence& evidence, SystemTime now) const;

  // The policy's steps for one model of an accepted manifest: attest::AppraiseModel. None without a policy.
  std::vector<attest::AppraisalStep> AppraiseModel(const attest::ModelStatement& model) const;
  // OK, or a refusal that names the first of those steps that failed, and the model.
  absl::Status CheckModel(const attest::ModelStatement& model) const;

 private:
  Appraiser(std::optional<attest::AppraisalPolicy> policy, std::unique_ptr<attest::Verifier> simulated,
            std::unique_ptr<attest::Verifier> genuine);

  attest::AppraisalStep CheckKind(attest::EvidenceKind kind) const;
  // To be asked once CheckKind has passed. Never without a step.
  attest::AttestationResult Verify(const attest::Evidence& evidence, const attest::ReportData& expected,
                                   SystemTime now) const;

  const std::optional<attest::AppraisalPolicy> policy_;
  const std::unique_ptr<attest::Verifier> simulated_;  // null where refused
  const std::unique_ptr<attest::Verifier> genuine_;    // null without a policy
};

}  // namespace shoji::client
