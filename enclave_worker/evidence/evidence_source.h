// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "enclave_worker/evidence/device_files.h"
#include "enclave_worker/evidence/evidence_provider.h"
#include "enclave_worker/evidence/gramine_provider.h"
#include "enclave_worker/evidence/sev_guest_provider.h"
#include "enclave_worker/evidence/tsm_provider.h"

namespace shoji::enclave {

// Which interface of the platform signs. Simulated evidence is not among them: it is never a fallback.
enum class EvidenceSource : uint8_t { kAuto, kGramine, kConfigfsTsm, kSevGuest };

std::string_view NameOf(EvidenceSource source);
// "auto", "gramine", "configfs-tsm", "sev-guest".
std::optional<EvidenceSource> EvidenceSourceNamed(std::string_view name);

struct PlatformOptions {
  EvidenceSource source = EvidenceSource::kAuto;
  GramineProvider::Options gramine;
  TsmProvider::Options tsm;
  SevGuestProvider::Options sev_guest;
};

// The provider of that source; for kAuto the first that the machine has, in the order above. FAILED_PRECONDITION says
// for each one tried why not. `files` outlives the provider.
absl::StatusOr<std::unique_ptr<EvidenceProvider>> CreatePlatformProvider(const PlatformOptions& options,
                                                                         DeviceFiles& files);

}  // namespace shoji::enclave
