// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/simulated/simulated_evidence.h"
#include "lib/attest/verifier.h"

namespace shoji::attest {

// Reads an Ed25519 public key in PEM (SubjectPublicKeyInfo, RFC 8410), as `openssl pkey -pubout` writes it.
// INVALID_ARGUMENT.
absl::StatusOr<Ed25519PublicKey> ParseEd25519PublicKeyPem(ByteSpan pem);

// Appraises simulated evidence: structure, known signer, signature, no debug, measurement, report data. To be asked
// only where the relying party has allowed simulated evidence; a wrong signer fails even then. Thread-safe.
class SimulatedVerifier final : public Verifier {
 public:
  struct Options {
    std::vector<Ed25519PublicKey> signers;           // at least one
    std::vector<digest::Sha256Digest> measurements;  // empty: any
  };
  // INVALID_ARGUMENT without a signer.
  static absl::StatusOr<std::unique_ptr<Verifier>> Create(Options options);

  AttestationResult Appraise(const Evidence& evidence, const ReportData& expected, SystemTime now) const override;

 private:
  explicit SimulatedVerifier(Options options);

  const Options options_;
};

}  // namespace shoji::attest
