// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/evidence/evidence_source.h"

namespace shoji::enclave {
namespace {

constexpr EvidenceSource kSources[] = {EvidenceSource::kGramine, EvidenceSource::kConfigfsTsm,
                                       EvidenceSource::kSevGuest};

absl::StatusOr<std::unique_ptr<EvidenceProvider>> Create(EvidenceSource source, const PlatformOptions& options,
                                                         DeviceFiles& files) {
  switch (source) {
    case EvidenceSource::kGramine:
      return GramineProvider::Create(options.gramine, files);
    case EvidenceSource::kConfigfsTsm:
      return TsmProvider::Create(options.tsm, files);
    case EvidenceSource::kSevGuest:
      return SevGuestProvider::Create(options.sev_guest, files);
    case EvidenceSource::kAuto:
      break;
  }
  std::string reasons;
  for (const EvidenceSource candidate : kSources) {
    absl::StatusOr<std::unique_ptr<EvidenceProvider>> provider = Create(candidate, options, files);
    if (provider.ok()) {
      return provider;
    }
    reasons += "\n  " + std::string(NameOf(candidate)) + ": " + std::string(provider.status().message());
  }
  return absl::FailedPreconditionError("this machine offers no way to attest:" + reasons);
}

}  // namespace

std::string_view NameOf(EvidenceInterface interface) {
  switch (interface) {
    case EvidenceInterface::kSimulated:
      return "simulated";
    case EvidenceInterface::kGramine:
      return "gramine";
    case EvidenceInterface::kConfigfsTsm:
      return "configfs-tsm";
    case EvidenceInterface::kSevGuest:
      return "sev-guest";
  }
  return "unknown";
}

std::string_view NameOf(EvidenceSource source) {
  switch (source) {
    case EvidenceSource::kAuto:
      return "auto";
    case EvidenceSource::kGramine:
      return NameOf(EvidenceInterface::kGramine);
    case EvidenceSource::kConfigfsTsm:
      return NameOf(EvidenceInterface::kConfigfsTsm);
    case EvidenceSource::kSevGuest:
      return NameOf(EvidenceInterface::kSevGuest);
  }
  return "unknown";
}

std::optional<EvidenceSource> EvidenceSourceNamed(std::string_view name) {
  if (name == NameOf(EvidenceSource::kAuto)) {
    return EvidenceSource::kAuto;
  }
  for (const EvidenceSource source : kSources) {
    if (name == NameOf(source)) {
      return source;
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<EvidenceProvider>> CreatePlatformProvider(const PlatformOptions& options,
                                                                         DeviceFiles& files) {
  return Create(options.source, options, files);
}

}  // namespace shoji::enclave
