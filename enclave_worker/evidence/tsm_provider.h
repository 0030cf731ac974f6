// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/evidence/device_files.h"
#include "enclave_worker/evidence/evidence_provider.h"
#include "enclave_worker/evidence/retry.h"

namespace shoji::enclave {

// Quotes of a TDX trust domain and reports of a SEV-SNP guest, through Linux's configfs-tsm (6.7 and later): each
// request makes a folder of its own, and a change of `generation` that is not its own is a race, which it tries again.
// For SEV-SNP the certificate table that the host gives (`auxblob`) follows the report. Requests take turns.
// Thread-safe.
class TsmProvider final : public EvidenceProvider {
 public:
  struct Options {
    std::string root = "/sys/kernel/config/tsm/report";
    std::string name_prefix = "shoji";  // of the folders it makes
    std::optional<uint32_t> privlevel;  // SEV-SNP: the VMPL to report; the kernel's choice where it is absent
    Retry retry;
  };
  // FAILED_PRECONDITION when there is no configfs-tsm or no provider behind it, or one of another technology; says what
  // to mount or load. `files` outlives the provider.
  static absl::StatusOr<std::unique_ptr<EvidenceProvider>> Create(Options options, DeviceFiles& files);

  attest::EvidenceKind kind() const override { return kind_; }
  EvidenceInterface interface() const override { return EvidenceInterface::kConfigfsTsm; }
  absl::StatusOr<attest::Evidence> Generate(const attest::ReportData& report_data) override;

 private:
  TsmProvider(Options options, attest::EvidenceKind kind, DeviceFiles& files)
      : options_(std::move(options)), kind_(kind), files_(files) {}

  absl::StatusOr<attest::Evidence> Try(const attest::ReportData& report_data);

  const Options options_;
  const attest::EvidenceKind kind_;
  DeviceFiles& files_;
  absl::Mutex mu_;  // one quote at a time: the TDX driver has one buffer
};

}  // namespace shoji::enclave
