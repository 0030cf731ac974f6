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

std::optional<EvidenceKind> EvidenceKindOf(std::string_view name) {
  for (const EvidenceKind kind :
       {EvidenceKind::kSimulated, EvidenceKind::kSgx, EvidenceKind::kTdx, EvidenceKind::kSevSnp}) {
    if (NameOf(kind) == name) {
      return kind;
    }
  }
  return std::nullopt;
}

}  // namespace shoji::attest
