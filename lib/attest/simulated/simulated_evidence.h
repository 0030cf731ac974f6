// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Evidence for machines without a TEE: the same fields as a real quote, signed by an Ed25519 key that the operator
// holds and hands out. It shows that the flow works. It gives NO confidentiality: whoever holds the key or controls the
// host can make it, and read everything.
//
//   evidence    := magic[8]="SHOJISIM" version[1]=1 flags[1] reserved[2]=0 measurement[32] report_data[64]
//                  signer_public_key[32] signature[64]
//   flags       := bit 0: debug; others 0
//   signature   := Ed25519 (RFC 8032) over "shoji simulated evidence v1" || all bytes before it
#pragma once

#include <array>
#include <cstdint>

#include "absl/status/statusor.h"
#include "lib/attest/manifest.h"
#include "lib/base/bytes.h"

namespace shoji::attest {

using Ed25519PublicKey = std::array<uint8_t, 32>;
using Ed25519Signature = std::array<uint8_t, 64>;

inline constexpr size_t kSimulatedEvidenceBytes = 204;

struct SimulatedEvidence {
  bool debug = false;
  digest::Sha256Digest measurement = {};
  ReportData report_data = {};
  Ed25519PublicKey signer = {};
  Ed25519Signature signature = {};
};

// All but the signature: what is stored in front of it.
Bytes SimulatedEvidenceBody(const SimulatedEvidence& evidence);
// What the signature is over.
Bytes SimulatedEvidenceSignedMessage(const SimulatedEvidence& evidence);
Bytes EncodeSimulatedEvidence(const SimulatedEvidence& evidence);

// Parses hostile bytes. INVALID_ARGUMENT.
absl::StatusOr<SimulatedEvidence> DecodeSimulatedEvidence(ByteSpan bytes);

}  // namespace shoji::attest
