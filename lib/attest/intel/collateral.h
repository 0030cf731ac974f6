// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What Intel publishes about its platforms (RFC 9334: Endorsements and ReferenceValues), as bytes: what is signed is
// kept as it was received.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "lib/base/bytes.h"

namespace shoji::attest::intel {

// A JSON text and Intel's signature (r || s, ECDSA P-256 with SHA-256) over exactly its bytes.
struct SignedText {
  Bytes text;
  Bytes signature;
  Bytes issuer_chain;  // PEM: TCB signing certificate, root
};

// All that appraising quotes of one TEE on one family of platforms (FMSPC) takes.
struct Collateral {
  std::string name;  // where it is from, for messages
  SignedText tcb_info;
  SignedText qe_identity;
  Bytes root_ca_crl;           // DER
  Bytes pck_crl;               // DER
  Bytes pck_crl_issuer_chain;  // PEM: PCK CA, root; may be empty
};

inline constexpr size_t kMaxCollateralBytes = size_t{4} << 20;

// One JSON object that holds it all, as collateral services hand it out: members `tcb_info` and `qe_identity` (the
// signed texts, as strings), `tcb_info_signature`, `qe_identity_signature`, `root_ca_crl` and `pck_crl` (hexadecimal),
// `tcb_info_issuer_chain`, `qe_identity_issuer_chain` and `pck_crl_issuer_chain` (PEM). Others are ignored. Hostile
// bytes. INVALID_ARGUMENT.
absl::StatusOr<Collateral> ParseCollateralJson(ByteSpan json, const std::string& name);

// The same object; ParseCollateralJson reads the same collateral from it, but for its name.
std::string EncodeCollateralJson(const Collateral& collateral);

// A body as Intel's provisioning certification service answers it: {"tcbInfo":{...},"signature":"..."}, or with
// "enclaveIdentity". The signed text is taken out byte by byte. INVALID_ARGUMENT.
absl::StatusOr<SignedText> ParsePcsBody(ByteSpan json);

// A revocation list in DER, PEM or hexadecimal digits, as DER. INVALID_ARGUMENT for what is none of them.
absl::StatusOr<Bytes> RevocationListToDer(ByteSpan bytes);

}  // namespace shoji::attest::intel
