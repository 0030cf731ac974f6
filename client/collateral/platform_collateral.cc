// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/collateral/platform_collateral.h"

#include <utility>

#include "client/collateral/amd_platform.h"
#include "client/collateral/intel_platform.h"

namespace shoji::client {

std::unique_ptr<PlatformCollateral> PlatformOf(const attest::Evidence& evidence,
                                               const attest::AppraisalPolicy& policy) {
  absl::StatusOr<std::unique_ptr<PlatformCollateral>> out = nullptr;
  if ((evidence.kind == attest::EvidenceKind::kSgx && policy.sgx.has_value()) ||
      (evidence.kind == attest::EvidenceKind::kTdx && policy.tdx.has_value())) {
    out = IntelPlatform::Of(evidence, policy.services);
  } else if (evidence.kind == attest::EvidenceKind::kSevSnp && policy.sev_snp.has_value()) {
    out = AmdPlatform::Of(evidence, policy);
  }
  return out.ok() ? *std::move(out) : nullptr;
}

std::string ServiceRoot(const std::string& url) { return url.ends_with('/') ? url.substr(0, url.size() - 1) : url; }

HttpLimits LimitsOf(const attest::CollateralServices& services) {
  return {.timeout = services.timeout, .ca_file = services.ca_file};
}

}  // namespace shoji::client
