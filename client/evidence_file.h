// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Evidence as `shoji verify --save-evidence` keeps it, so that it can be appraised again later, with no server. JSON:
//
//   {"format": "shoji evidence", "version": 1,
//    "saved_at": "2026-11-26T21:17:38Z",         for people; decides nothing
//    "kind": "tdx",                              simulated | sgx | tdx | sev-snp
//    "nonce": BASE64,                            32 bytes, the client's own
//    "nonce_path": {"index": 3, "siblings": [BASE64, ..]},    only where the evidence was shared
//    "manifest": BASE64, "evidence": BASE64}     as they were received
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/transport.h"
#include "lib/attest/manifest.h"
#include "lib/base/bytes.h"
#include "lib/base/clock.h"

namespace shoji::client {

struct SavedEvidence {
  SystemTime saved_at;
  attest::Nonce nonce = {};
  EvidenceReply reply;
};

inline constexpr size_t kMaxEvidenceFileBytes = size_t{16} << 20;

std::string EncodeSavedEvidence(const SavedEvidence& saved);
// Parses hostile text. INVALID_ARGUMENT names the member.
absl::StatusOr<SavedEvidence> ParseSavedEvidence(ByteSpan text);

// "2026-11-26T21:17:38Z", in UTC.
std::string TimeText(SystemTime time);
// RFC 3339, of the years 1970 to 2200. INVALID_ARGUMENT.
absl::StatusOr<SystemTime> ParseTime(const std::string& text);

}  // namespace shoji::client
