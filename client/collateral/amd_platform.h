// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/collateral/platform_collateral.h"
#include "lib/attest/appraisal/appraisal_policy.h"
#include "lib/attest/sev_snp/report.h"

namespace shoji::client {

// Of SEV-SNP, in CACHE/amd: LINE-CHIP-TCB.der (a VCEK), LINE-vcek-chain.pem (ASK and ARK), LINE-vcek-crl.der, and the
// same for a VLEK, which no service gives to clients.
class AmdPlatform final : public PlatformCollateral {
 public:
  // INVALID_ARGUMENT for what holds no report, or one of a line that the policy does not accept.
  static absl::StatusOr<std::unique_ptr<PlatformCollateral>> Of(const attest::Evidence& evidence,
                                                                const attest::AppraisalPolicy& policy);

  void AddKept(attest::PolicyVerifier::Options& options) const override;
  CollateralParts PartsFor(const attest::AttestationResult& result) const override;
  absl::Status Fetch(const CollateralParts& parts, const attest::PolicyVerifier::Options& options) override;

 private:
  AmdPlatform(attest::CollateralServices services, attest::sev_snp::Report report, Bytes evidence,
              std::vector<attest::sev_snp::Product> lines);

  std::string Path(attest::sev_snp::Product line, CollateralPart part) const;
  std::string Url(attest::sev_snp::Product line, CollateralPart part) const;
  // The lines that the processor may be of, narrowed down by the certificate of its key where there is one.
  std::vector<attest::sev_snp::Product> LinesBy(const attest::sev_snp::Collateral& collateral) const;
  // Whether the key that is used may be one from the cache, which was not fetched for this appraisal.
  bool MayReplaceKey(const CollateralParts& in_evidence) const;
  absl::Status FetchFrom(attest::sev_snp::Product line, CollateralPart part) const;

  const attest::CollateralServices services_;
  const attest::sev_snp::Report report_;
  const Bytes evidence_;
  const std::vector<attest::sev_snp::Product> lines_;  // never empty
  bool has_fetched_key_ = false;
};

}  // namespace shoji::client
