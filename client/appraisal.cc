// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/appraisal.h"

#include <chrono>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "lib/attest/appraisal/policy_verifier.h"
#include "lib/attest/nonce_tree.h"
#include "lib/attest/simulated/simulated_verifier.h"
#include "lib/attest/step_list.h"
#include "lib/base/status_macros.h"

namespace shoji::client {
namespace {

constexpr char kRefusalUrl[] = "type.shoji/refusal";
constexpr char kReportData[] = "report data";  // the verifiers' step that binds evidence to manifest and nonce

std::string UtcText(SystemTime time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromChrono(time), absl::UTCTimeZone());
}

attest::AppraisalStep CheckExpiry(SystemTime expires_at, SystemTime now) {
  if (now >= expires_at) {
    return {
        "expiry", false,
        "found a manifest that expired at " + UtcText(expires_at) + "; expected one that holds at " + UtcText(now),
        "fetch evidence anew: an enclave renews its key and manifest before they expire; check this machine's clock"};
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

Appraiser::Appraiser(std::optional<attest::AppraisalPolicy> policy, std::unique_ptr<attest::Verifier> simulated,
                     std::unique_ptr<attest::Verifier> genuine)
    : policy_(std::move(policy)), simulated_(std::move(simulated)), genuine_(std::move(genuine)) {}

absl::StatusOr<std::unique_ptr<Appraiser>> Appraiser::Create(const AppraisalPolicy& policy) {
  std::unique_ptr<attest::Verifier> simulated;
  if (policy.simulated == SimulatedEvidence::kAllow) {
    ASSIGN_OR_RETURN(simulated, attest::SimulatedVerifier::Create({policy.simulated_signers, {}}));
  }
  std::unique_ptr<attest::Verifier> genuine;
  if (policy.policy.has_value()) {
    RETURN_IF_ERROR(attest::CheckAppraisalPolicy(*policy.policy));
    const bool is_cached = !policy.policy->services.cache_directory.empty();
    absl::StatusOr<std::unique_ptr<attest::Verifier>> loaded =
        is_cached ? FetchingVerifier::Load(*policy.policy, policy.network)
                  : attest::PolicyVerifier::Load(*policy.policy);
    if (!loaded.ok()) {
      return RefusalError("the policy's collateral cannot be used: " + std::string(loaded.status().message()));
    }
    genuine = *std::move(loaded);
  }
  return std::unique_ptr<Appraiser>(new Appraiser(policy.policy, std::move(simulated), std::move(genuine)));
}

attest::AppraisalStep Appraiser::CheckKind(attest::EvidenceKind kind) const {
  const std::string name(attest::NameOf(kind));
  if (kind == attest::EvidenceKind::kSimulated) {
    if (simulated_ == nullptr) {
      return {
          "evidence kind", false,
          "the evidence is only simulated: there is no TEE and no confidentiality; it is refused unless explicitly "
          "allowed (--allow-simulated)",
          "run the enclave in a TEE and give a policy for its evidence (--policy FILE), or allow simulated evidence "
          "to try things out"};
    }
    return {"evidence kind", true, "simulated, explicitly allowed: NO CONFIDENTIALITY from whoever runs the machine"};
  }
  if (genuine_ == nullptr) {
    return {
        "evidence kind", false,
        "found " + name + " evidence; expected an appraisal policy that says which enclaves to trust (--policy FILE)",
        "write down the measurements that you trust and give the file with --policy; docs/attestation.md and "
        "config/appraisal.yaml show how"};
  }
  return {"evidence kind", true, name + ", appraised by the given policy"};
}

attest::AttestationResult Appraiser::Verify(const attest::Evidence& evidence, const attest::ReportData& expected,
                                            SystemTime now) const {
  const auto& verifier = evidence.kind == attest::EvidenceKind::kSimulated ? simulated_ : genuine_;
  attest::AttestationResult out = {.kind = evidence.kind, .steps = {}};
  if (verifier != nullptr) {
    out = verifier->Appraise(evidence, expected, now);
  }
  // An appraisal that looked at nothing is not an acceptance, whatever steps of ours stand beside it.
  if (out.steps.empty()) {
    out.steps.push_back({"evidence", false, "nothing was appraised"});
  }
  return out;
}

Appraisal Appraiser::Appraise(const EvidenceReply& reply, const attest::Nonce& nonce, SystemTime now) const {
  Appraisal out;
  out.manifest_digest = digest::Sha256(reply.manifest);
  out.result.kind = reply.evidence.kind;
  std::vector<attest::AppraisalStep>& steps = out.result.steps;

  absl::StatusOr<attest::Manifest> decoded = attest::DecodeManifest(reply.manifest);
  if (!decoded.ok()) {
    steps.push_back({"manifest", false, std::string(decoded.status().message())});
    return out;
  }
  out.manifest = *std::move(decoded);
  steps.push_back({"manifest", true, "well formed; digest " + HexEncode(out.manifest_digest)});

  steps.push_back(CheckKind(reply.evidence.kind));
  if (!steps.back().passed) {
    return out;
  }
  const attest::Nonce held = reply.nonce_path.has_value() ? attest::RootOf(nonce, *reply.nonce_path) : nonce;
  attest::AttestationResult verified = Verify(reply.evidence, attest::ReportDataFor(out.manifest_digest, held), now);
  out.result.claims = std::move(verified.claims);
  steps.insert(steps.end(), verified.steps.begin(), verified.steps.end());
  if (verified.accepted()) {
    steps.push_back(CheckExpiry(out.manifest->expires_at, now));
  }
  return out;
}

attest::AttestationResult Appraiser::AppraiseUnbound(const attest::Evidence& evidence, SystemTime now) const {
  attest::AttestationResult out;
  out.kind = evidence.kind;
  out.steps.push_back(CheckKind(evidence.kind));
  if (out.steps.back().passed) {
    attest::AttestationResult verified = Verify(evidence, {}, now);
    std::erase_if(verified.steps, [](const attest::AppraisalStep& step) { return step.name == kReportData; });
    out.claims = std::move(verified.claims);
    out.steps.insert(out.steps.end(), verified.steps.begin(), verified.steps.end());
  }
  // However good the rest is.
  out.steps.push_back({"binding", false,
                       "NOT CHECKED: evidence alone says nothing about whose key it vouches for, or when it was made",
                       "fetch the evidence with its manifest, for a nonce of your own: shoji verify --server"});
  return out;
}

std::vector<attest::AppraisalStep> Appraiser::AppraiseModel(const attest::ModelStatement& model) const {
  attest::StepList steps;
  if (policy_.has_value()) {
    attest::AppraiseModel(*policy_, model, steps);
  }
  return steps.Take();
}

absl::Status Appraiser::CheckModel(const attest::ModelStatement& model) const {
  for (const attest::AppraisalStep& step : AppraiseModel(model)) {
    if (!step.passed) {
      return RefusalError("attestation refused at step '" + step.name + "' of model '" + model.name +
                          "': " + step.detail);
    }
  }
  return absl::OkStatus();
}

}  // namespace shoji::client
