// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/attest/evidence.h"
#include "lib/attest/manifest.h"

namespace shoji::enclave {

// How evidence is asked for. Each takes other system calls.
enum class EvidenceInterface : uint8_t { kSimulated, kGramine, kConfigfsTsm, kSevGuest };

// "simulated", "gramine", "configfs-tsm", "sev-guest".
std::string_view NameOf(EvidenceInterface interface);

// The Attester (RFC 9334): asks the platform to sign `report_data`. Thread-safe.
class EvidenceProvider {
 public:
  EvidenceProvider() = default;
  EvidenceProvider(const EvidenceProvider&) = delete;
  EvidenceProvider& operator=(const EvidenceProvider&) = delete;
  virtual ~EvidenceProvider() = default;

  virtual attest::EvidenceKind kind() const = 0;
  virtual EvidenceInterface interface() const = 0;
  // UNAVAILABLE when the platform cannot sign now.
  virtual absl::StatusOr<attest::Evidence> Generate(const attest::ReportData& report_data) = 0;
};

}  // namespace shoji::enclave
