// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/attest/evidence.h"

namespace shoji::attest {

std::string_view NameOf(EvidenceKind kind) {
  switch (kind) {
    case EvidenceKind::kSimulated:
      return "simulated";
    case EvidenceKind::kSgx:
      return "sgx";
    case EvidenceKind::kTdx:
      return "tdx";
    case EvidenceKind::kSevSnp:
      return "sev-snp";
  }
  return "unknown";
}

}  // namespace shoji::attest
