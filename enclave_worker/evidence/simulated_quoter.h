// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "enclave_worker/evidence/evidence_provider.h"

struct evp_pkey_st;

namespace shoji::enclave {

// Signs simulated evidence with an Ed25519 key of the operator's. It attests nothing: the operator who holds the key
// could read every input. For machines without a TEE, and for tests. Thread-safe.
class SimulatedQuoter final : public EvidenceProvider {
 public:
  // Reads the private key (PEM, PKCS #8, Ed25519) from `key_file`, which only its owner may be able to read, and
  // measures the running binary (SHA-256 of `/proc/self/exe`). Errors name the file and how to make a key.
  static absl::StatusOr<std::unique_ptr<EvidenceProvider>> Create(const std::string& key_file);
  ~SimulatedQuoter() override;

  attest::EvidenceKind kind() const override { return attest::EvidenceKind::kSimulated; }
  EvidenceInterface interface() const override { return EvidenceInterface::kSimulated; }
  absl::StatusOr<attest::Evidence> Generate(const attest::ReportData& report_data) override;

 private:
  SimulatedQuoter(evp_pkey_st* key, const digest::Sha256Digest& measurement);

  evp_pkey_st* const key_;
  const digest::Sha256Digest measurement_;
};

}  // namespace shoji::enclave
