// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/attest/x509/certificate.h"

namespace shoji::attest::sev_snp {

// What AMD publishes: certificates of endorsement keys and authorities, and revocation lists. All of it is verified
// when it is used.
struct Collateral {
  std::vector<x509::Certificate> certificates;
  std::vector<x509::RevocationList> revocation_lists;
};

// Adds what `bytes` hold: one certificate or revocation list in DER, or any number of either in PEM. INVALID_ARGUMENT.
absl::Status AddTo(Collateral& collateral, ByteSpan bytes);

// Reads a file, or every file of a folder. NOT_FOUND when there is none; other errors name the file.
absl::StatusOr<Collateral> LoadCollateral(const std::string& path);

}  // namespace shoji::attest::sev_snp
