// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/appraisal/appraisal_policy.h"
#include "lib/attest/intel/collateral.h"
#include "lib/attest/sev_snp/authorities.h"
#include "lib/attest/sev_snp/collateral.h"
#include "lib/attest/verifier.h"

namespace shoji::attest {

// Appraises evidence of every kind that a policy accepts, each by its own verifier and against the vendors' pinned
// roots; of any other kind it says what the policy accepts. Simulated evidence is always refused here. Thread-safe.
class PolicyVerifier final : public Verifier {
 public:
  struct Options {
    AppraisalPolicy policy;
    std::vector<intel::Collateral> intel_collateral;
    sev_snp::Collateral amd_collateral;
  };
  // As CheckAppraisalPolicy.
  static absl::StatusOr<std::unique_ptr<Verifier>> Create(Options options);
  // The policy and the collateral that it names, read from its files and folders. Errors name them.
  static absl::StatusOr<Options> LoadFiles(AppraisalPolicy policy);
  // Of those.
  static absl::StatusOr<std::unique_ptr<Verifier>> Load(AppraisalPolicy policy);

  AttestationResult Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const override;

 private:
  PolicyVerifier() = default;

  const Verifier* Find(EvidenceKind kind) const;

  std::unique_ptr<Verifier> sgx_;
  std::unique_ptr<Verifier> tdx_;
  std::unique_ptr<Verifier> sev_snp_;
};

}  // namespace shoji::attest
