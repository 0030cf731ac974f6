// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/evidence/device_files.h"
#include "enclave_worker/evidence/evidence_provider.h"
#include "enclave_worker/evidence/retry.h"

namespace shoji::enclave {

// Reports of a SEV-SNP guest through /dev/sev-guest, for kernels before 6.7. Asks for the certificates that the host
// may give with it. Requests take turns. Thread-safe.
class SevGuestProvider final : public EvidenceProvider {
 public:
  struct Options {
    std::string device = "/dev/sev-guest";
    uint32_t vmpl = 0;
    Retry retry;
  };
  // FAILED_PRECONDITION when there is no such device; says what to load. `files` outlives the provider.
  static absl::StatusOr<std::unique_ptr<EvidenceProvider>> Create(Options options, DeviceFiles& files);

  attest::EvidenceKind kind() const override { return attest::EvidenceKind::kSevSnp; }
  EvidenceInterface interface() const override { return EvidenceInterface::kSevGuest; }
  absl::StatusOr<attest::Evidence> Generate(const attest::ReportData& report_data) override;

 private:
  SevGuestProvider(Options options, DeviceFiles& files) : options_(std::move(options)), files_(files) {}

  absl::StatusOr<attest::Evidence> Try(const attest::ReportData& report_data);

  const Options options_;
  DeviceFiles& files_;
  absl::Mutex mu_;  // the processor answers one request of a guest at a time
};

}  // namespace shoji::enclave
