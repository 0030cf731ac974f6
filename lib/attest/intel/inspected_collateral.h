// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/attest/intel/collateral.h"
#include "lib/attest/intel/qe_identity.h"
#include "lib/attest/intel/tcb_info.h"
#include "lib/attest/x509/certificate.h"

namespace shoji::attest::intel {

// A signed text, parsed, and who signed it: the TCB signing certificate and the pinned root.
template <typename T>
struct SignedDocument {
  T content;
  std::vector<x509::Certificate> signer_chain;
};

// What of a Collateral holds at any time and for any quote: each part parsed, and its signature verified up to the
// pinned root; or why not. Times, revocation and what fits a quote are asked per quote. Immutable.
struct InspectedCollateral {
  std::string name;
  absl::StatusOr<SignedDocument<TcbInfo>> tcb_info;
  absl::StatusOr<SignedDocument<QeIdentity>> qe_identity;
  absl::StatusOr<x509::RevocationList> root_crl;  // issued by the root of the TCB info's signer
  absl::StatusOr<x509::RevocationList> pck_crl;   // parsed; its issuer is the quote's PCK CA, asked per quote
};

// Whether `signer` signed the text, whoever signed that certificate.
bool IsSignedBy(const SignedText& text, const x509::Certificate& signer);

// `root_key`: SubjectPublicKeyInfo of the root to trust, IntelSgxRootKey() outside of tests.
InspectedCollateral Inspect(const Collateral& collateral, const Bytes& root_key);
std::vector<InspectedCollateral> InspectAll(std::span<const Collateral> collateral, const Bytes& root_key);

}  // namespace shoji::attest::intel
