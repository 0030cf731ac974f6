// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// How SEV-SNP evidence travels: the report, and after it the certificate table that the host gives with it, byte for
// byte as configfs-tsm's auxblob and /dev/sev-guest's extended report have it (it may be missing):
//
//   data   := report[1184] table
//   table  := empty, or entry* zero[24] then anything, in which the certificates lie
//   entry  := guid[16] offset:u32 length:u32     little-endian; offsets count from the start of the table
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/x509/certificate.h"
#include "lib/base/bytes.h"

namespace shoji::attest::sev_snp {

inline constexpr size_t kMaxCertificateTableBytes = size_t{64} << 10;

// By the place in the table, not by what the certificates say of themselves.
struct EvidenceData {
  ByteSpan report;
  std::vector<x509::Certificate> endorsement_keys;  // VCEK, VLEK
  std::vector<x509::Certificate> authorities;       // ASK or ASVK, ARK
};

// Parses hostile bytes, which outlive the result. Entries of other identifiers are passed over. INVALID_ARGUMENT.
absl::StatusOr<EvidenceData> ParseEvidenceData(ByteSpan bytes);

}  // namespace shoji::attest::sev_snp
