// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/sev_snp/authorities.h"
#include "lib/attest/sev_snp/collateral.h"
#include "lib/attest/sev_snp/endorsement_key.h"
#include "lib/attest/sev_snp/evidence_data.h"
#include "lib/attest/sev_snp/report.h"

namespace shoji::attest::sev_snp {

// The certificate of the key that says it signed `report`: of the evidence if it brings one of that kind, else of the
// collateral (for a VCEK, the one of this chip; the one for this TCB if there are several). NOT_FOUND.
absl::StatusOr<x509::Certificate> ChooseEndorsementKey(const Report& report, const EvidenceData& evidence,
                                                       const Collateral& collateral);

// `key`, its issuer and the root. Authorities come from the evidence if it brings any, else from the collateral if that
// has any, else from AMD's built in; only a missing root is then filled in. NOT_FOUND when the issuer is not among
// them.
absl::StatusOr<std::vector<x509::Certificate>> ChooseChain(const x509::Certificate& key, const EvidenceData& evidence,
                                                           const Collateral& collateral, std::span<const Root> roots);

}  // namespace shoji::attest::sev_snp
