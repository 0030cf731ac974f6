// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Why a request failed, as a small enumeration that a program can act on. It rides in an absl::Status as a payload and
// on the wire as shoji.v1.ErrorDetail; the values are those of shoji.v1.Reason (proto/shoji/v1/error.proto describes
// them). Across the enclave's boundary go only a code and a reason: the message is a fixed text per reason, never made
// from data.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace shoji {

enum class Reason : uint8_t {
  kUnspecified = 0,
  kUnknownKey = 1,
  kStaleManifest = 2,
  kUnknownSession = 3,
  kSessionLimit = 4,
  kOpenFailed = 5,
  kReplayed = 6,
  kSequenceTooOld = 7,
  kUnknownModel = 8,
  kWrongLength = 9,
  kOverloaded = 10,
  kNoEnclave = 11,
  kNoAccelerator = 12,
  kDraining = 13,
  kDeadline = 14,
  kBadNonce = 15,
  kUnauthenticatedClient = 16,
  kBadInput = 17,
  kInternal = 18,
  kEncReused = 19,
  kBudgetExhausted = 20,
  kUnknownSealedModel = 21,
  kWrongModelKey = 22,
  kModelRefused = 23,
};
inline constexpr uint8_t kMaxReason = 23;

// "OPEN_FAILED", as in the protocol.
std::string_view NameOf(Reason reason);

// The status of `reason`: its gRPC code, its fixed text and the payload.
absl::Status ErrorOf(Reason reason);

// The reason in `status`' payload; kUnspecified when it has none.
Reason ReasonOf(const absl::Status& status);

}  // namespace shoji
