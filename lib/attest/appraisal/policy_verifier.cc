// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/appraisal/policy_verifier.h"

#include <iterator>
#include <string>
#include <utility>

#include "lib/attest/intel/collateral_files.h"
#include "lib/attest/intel/root_key.h"
#include "lib/base/status_macros.h"

namespace shoji::attest {
namespace {

absl::Status At(const CollateralPath& path, const absl::Status& status) {
  return path.named_by.empty() ? status
                               : absl::Status(status.code(), path.named_by + ": " + std::string(status.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Verifier>> PolicyVerifier::Create(Options options) {
  RETURN_IF_ERROR(CheckAppraisalPolicy(options.policy));
  std::unique_ptr<PolicyVerifier> out(new PolicyVerifier());
  if (options.policy.sgx.has_value()) {
    ASSIGN_OR_RETURN(out->sgx_, SgxVerifier::Create({.policy = *std::move(options.policy.sgx),
                                                     .collateral = options.intel_collateral,
                                                     .root_key = intel::IntelSgxRootKey()}));
  }
  if (options.policy.tdx.has_value()) {
    ASSIGN_OR_RETURN(out->tdx_, TdxVerifier::Create({.policy = *std::move(options.policy.tdx),
                                                     .collateral = std::move(options.intel_collateral),
                                                     .root_key = intel::IntelSgxRootKey()}));
  }
  if (options.policy.sev_snp.has_value()) {
    ASSIGN_OR_RETURN(out->sev_snp_, SnpVerifier::Create({.policy = *std::move(options.policy.sev_snp),
                                                         .collateral = std::move(options.amd_collateral),
                                                         .roots = sev_snp::AmdRoots()}));
  }
  return std::unique_ptr<Verifier>(std::move(out));
}

absl::StatusOr<PolicyVerifier::Options> PolicyVerifier::LoadFiles(AppraisalPolicy policy) {
  Options options;
  for (const CollateralPath& path : policy.intel_collateral) {
    absl::StatusOr<std::vector<intel::Collateral>> read = intel::LoadCollateral(path.path);
    if (!read.ok()) {
      return At(path, read.status());
    }
    std::move(read->begin(), read->end(), std::back_inserter(options.intel_collateral));
  }
  for (const CollateralPath& path : policy.amd_collateral) {
    const absl::StatusOr<sev_snp::Collateral> read = sev_snp::LoadCollateral(path.path);
    if (!read.ok()) {
      return At(path, read.status());
    }
    options.amd_collateral.certificates.insert(options.amd_collateral.certificates.end(), read->certificates.begin(),
                                               read->certificates.end());
    options.amd_collateral.revocation_lists.insert(options.amd_collateral.revocation_lists.end(),
                                                   read->revocation_lists.begin(), read->revocation_lists.end());
  }
  options.policy = std::move(policy);
  return options;
}

absl::StatusOr<std::unique_ptr<Verifier>> PolicyVerifier::Load(AppraisalPolicy policy) {
  ASSIGN_OR_RETURN(Options options, LoadFiles(std::move(policy)));
  return Create(std::move(options));
}

const Verifier* PolicyVerifier::Find(EvidenceKind kind) const {
  switch (kind) {
    case EvidenceKind::kSgx:
      return sgx_.get();
    case EvidenceKind::kTdx:
      return tdx_.get();
    case EvidenceKind::kSevSnp:
      return sev_snp_.get();
    case EvidenceKind::kSimulated:
      break;
  }
  return nullptr;
}

AttestationResult PolicyVerifier::Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const {
  if (const Verifier* verifier = Find(evidence.kind); verifier != nullptr) {
    return verifier->Appraise(evidence, expected, now);
  }
  std::string accepted;
  for (const EvidenceKind kind : {EvidenceKind::kSgx, EvidenceKind::kTdx, EvidenceKind::kSevSnp}) {
    if (Find(kind) != nullptr) {
      accepted += (accepted.empty() ? "" : " or ") + std::string(NameOf(kind));
    }
  }
  StepList steps;
  steps.Check("kind", false, std::string(NameOf(evidence.kind)), accepted + ", as the policy says");
  AttestationResult result;
  result.kind = evidence.kind;
  result.steps = steps.Take();
  return result;
}

}  // namespace shoji::attest
