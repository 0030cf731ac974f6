// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/attest/sev_snp/report.h"
#include "lib/attest/x509/certificate.h"

namespace shoji::attest::sev_snp {

// What AMD's extensions (1.3.6.1.4.1.3704.1) of a VCEK or VLEK certificate say: for which firmware, and which chip or
// cloud provider, the key is.
struct EndorsementKey {
  SigningKey kind = SigningKey::kVcek;
  std::string product_name;  // "Milan-B0", "Genoa"
  TcbVersion tcb;
  Bytes hardware_id;   // VCEK: the chip's, 64 bytes, or 8 on Turin
  std::string csp_id;  // VLEK
};

// INVALID_ARGUMENT when it is neither by its name, or an extension is missing or malformed. `hardware_id` is taken as
// it is or wrapped as a DER OCTET STRING: both are in use.
absl::StatusOr<EndorsementKey> ReadEndorsementKey(const x509::Certificate& certificate);

}  // namespace shoji::attest::sev_snp
