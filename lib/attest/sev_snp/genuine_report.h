// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The first half of appraising a report: that a processor of AMD's made it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/attest/sev_snp/authorities.h"
#include "lib/attest/sev_snp/collateral.h"
#include "lib/attest/sev_snp/endorsement_key.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/attest/step_list.h"

namespace shoji::attest::sev_snp {

struct GenuineReport {
  Report report;
  Product product = Product::kMilan;     // whose root the chain ends in
  std::vector<x509::Certificate> chain;  // VCEK or VLEK, ASK or ASVK, ARK
  EndorsementKey key;

  std::vector<Claim> Claims() const;
};

// Steps "structure", "endorsement key", "vek chain", "vek certificate" and "report signature". nullopt when one fails:
// nothing that the report says is genuine.
std::optional<GenuineReport> VerifyReport(ByteSpan data, const Collateral& collateral, std::span<const Root> roots,
                                          StepList& steps);

// Whether evidence is appraised where no revocation list of its root is given at all. One that is given must hold.
enum class MissingList : uint8_t { kRefused, kAccepted };

// Whether the report was made where, and by what firmware, its key's certificate is for: steps "product", "chip id"
// (VCEK) and "reported tcb"; and whether that certificate holds at `now`: "certificate validity", "revocation list" and
// "revocation". The issue date of the revocation list that was used, if there is one.
std::optional<SystemTime> AppraiseEndorsement(const GenuineReport& genuine, const Collateral& collateral,
                                              MissingList missing, SystemTime now, StepList& steps);

}  // namespace shoji::attest::sev_snp
