// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "enclave_worker/evidence/device_files.h"
#include "enclave_worker/evidence/evidence_provider.h"
#include "enclave_worker/evidence/retry.h"

namespace shoji::enclave {

// DCAP quotes of an SGX enclave under Gramine, through /dev/attestation. The files belong to this process; requests
// take turns. Thread-safe.
class GramineProvider final : public EvidenceProvider {
 public:
  struct Options {
    std::string root = "/dev/attestation";
    Retry retry;
  };
  // FAILED_PRECONDITION when this is no Gramine enclave, or one without DCAP; says what to write in the manifest.
  // `files` outlives the provider.
  static absl::StatusOr<std::unique_ptr<EvidenceProvider>> Create(Options options, DeviceFiles& files);

  attest::EvidenceKind kind() const override { return attest::EvidenceKind::kSgx; }
  EvidenceInterface interface() const override { return EvidenceInterface::kGramine; }
  absl::StatusOr<attest::Evidence> Generate(const attest::ReportData& report_data) override;

 private:
  GramineProvider(Options options, DeviceFiles& files) : options_(std::move(options)), files_(files) {}

  absl::StatusOr<attest::Evidence> Try(const attest::ReportData& report_data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Options options_;
  DeviceFiles& files_;
  absl::Mutex mu_;  // from writing the report data to reading the quote
};

}  // namespace shoji::enclave
