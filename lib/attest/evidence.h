// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "lib/base/bytes.h"

namespace shoji::attest {

// RFC 9334 Evidence, by the technology that signs it.
enum class EvidenceKind : uint8_t { kSimulated = 1, kSgx = 2, kTdx = 3, kSevSnp = 4 };

std::string_view NameOf(EvidenceKind kind);
// The kind of that name ("sev-snp"); nullopt for others.
std::optional<EvidenceKind> EvidenceKindOf(std::string_view name);

struct Evidence {
  EvidenceKind kind = EvidenceKind::kSimulated;
  Bytes data;  // hostile until appraised
};

}  // namespace shoji::attest
