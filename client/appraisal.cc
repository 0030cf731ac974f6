// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/appraisal.h"

#include <chrono>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "lib/attest/simulated/simulated_verifier.h"
#include "lib/base/status_macros.h"

namespace shoji::client {
namespace {

constexpr char kRefusalUrl[] = "type.shoji/refusal";

std::string UtcText(SystemTime time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromChrono(time), absl::UTCTimeZone());
}

attest::AppraisalStep CheckKind(attest::EvidenceKind kind, SimulatedEvidence simulated_allowed) {
  const std::string name(attest::NameOf(kind));
  if (kind != attest::EvidenceKind::kSimulated) {
    return {"evidence kind", false, name + " evidence is not supported by this build yet"};
  }
  if (simulated_allowed == SimulatedEvidence::kRefuse) {
    return {"evidence kind", false,
            "the evidence is only simulated: there is no TEE and no confidentiality; it is refused unless explicitly "
            "allowed (--allow-simulated)"};
  }
  return {"evidence kind", true, "simulated, explicitly allowed: NO CONFIDENTIALITY from whoever runs the machine"};
}

attest::AppraisalStep CheckExpiry(SystemTime expires_at, SystemTime now) {
  if (now >= expires_at) {
    return {"expiry", false,
            "the manifest expired at " + UtcText(expires_at) + "; this machine's clock says " + UtcText(now)};
  }
  return {"expiry", true, "new sessions until " + UtcText(expires_at)};
}

}  // namespace

absl::Status RefusalError(const std::string& message) {
  absl::Status status = absl::PermissionDeniedError(message);
  status.SetPayload(kRefusalUrl, absl::Cord("1"));
  return status;
}

bool IsRefusal(const absl::Status& status) { return status.GetPayload(kRefusalUrl).has_value(); }

absl::Status Appraisal::ToStatus() const {
  const absl::Status status = result.ToStatus();
  return status.ok() ? status : RefusalError(std::string(status.message()));
}

Appraiser::Appraiser(SimulatedEvidence allowed, std::unique_ptr<attest::Verifier> verifier)
    : simulated_allowed_(allowed), simulated_(std::move(verifier)) {}

absl::StatusOr<std::unique_ptr<Appraiser>> Appraiser::Create(const AppraisalPolicy& policy) {
  std::unique_ptr<attest::Verifier> verifier;
  if (policy.simulated == SimulatedEvidence::kAllow) {
    ASSIGN_OR_RETURN(verifier, attest::SimulatedVerifier::Create({policy.simulated_signers, {}}));
  }
  return std::unique_ptr<Appraiser>(new Appraiser(policy.simulated, std::move(verifier)));
}

Appraisal Appraiser::Appraise(ByteSpan manifest, const attest::Evidence& evidence, const attest::Nonce& nonce,
                              SystemTime now) const {
  Appraisal out;
  out.manifest_digest = digest::Sha256(manifest);
  out.result.kind = evidence.kind;
  std::vector<attest::AppraisalStep>& steps = out.result.steps;

  absl::StatusOr<attest::Manifest> decoded = attest::DecodeManifest(manifest);
  if (!decoded.ok()) {
    steps.push_back({"manifest", false, std::string(decoded.status().message())});
    return out;
  }
  out.manifest = *std::move(decoded);
  steps.push_back({"manifest", true, "well formed; digest " + HexEncode(out.manifest_digest)});

  steps.push_back(CheckKind(evidence.kind, simulated_allowed_));
  if (!steps.back().passed) {
    return out;
  }
  const attest::ReportData expected = attest::ReportDataFor(out.manifest_digest, nonce);
  attest::AttestationResult verified = simulated_->Appraise(evidence, expected, now);
  // An appraisal that looked at nothing is not an acceptance, whatever steps of ours stand beside it.
  if (verified.steps.empty()) {
    verified.steps.push_back({"evidence", false, "nothing was appraised"});
  }
  steps.insert(steps.end(), verified.steps.begin(), verified.steps.end());
  if (verified.accepted()) {
    steps.push_back(CheckExpiry(out.manifest->expires_at, now));
  }
  return out;
}

}  // namespace shoji::client
